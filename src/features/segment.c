#include "features/segment.h"
#include "base/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SILENCE_FRAMES 5  /* 200 ms: the closure before a stop is shorter */
#define LEAST_CONTRAST 15 /* dB between loud and floor: less is noise or speech all through */
#define MOST_CONTRAST 40  /* dB: digital silence is not to hide the pauses of a room */
#define NOTHING 1e-10     /* energy of a frame without sound */

static double frame_level(const struct clip *clip, int64_t frame)
{
    double sum = NOTHING;
    int64_t from = frame * FRAME_SAMPLES, to = from + FRAME_SAMPLES;
    for (int64_t i = from; i < to && i < clip->samples; i++)
        sum += (double)clip->pcm[i] * clip->pcm[i];
    return 10 * log10(sum);
}

static int compare_levels(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The quietest 200 ms of the second half: the level of its loudest frame. */
static double quietest(const double *levels, int64_t count)
{
    double least = INFINITY;
    for (int64_t i = count / 2; i + SILENCE_FRAMES <= count; i++) {
        double loudest = -INFINITY;
        for (int64_t k = i; k < i + SILENCE_FRAMES; k++)
            loudest = fmax(loudest, levels[k]);
        least = fmin(least, loudest);
    }
    return least;
}

/* Up to this level a frame is silent; -INFINITY where speech and silence cannot be told apart. */
static double silence_level(double *sorted, const double *levels, int64_t count)
{
    memcpy(sorted, levels, (size_t)count * sizeof *sorted);
    qsort(sorted, (size_t)count, sizeof *sorted, compare_levels);
    double loud = sorted[count * 9 / 10], floor = quietest(levels, count);
    if (loud - floor < LEAST_CONTRAST)
        return -INFINITY;
    return fmax(floor, loud - MOST_CONTRAST) + fmin(loud - floor, MOST_CONTRAST) / 3;
}

int64_t segment_pause(const bool *sounds, int64_t count, int64_t least)
{
    int64_t longest = least - 1, middle = 0, begin = count / 2;
    for (int64_t i = begin; i <= count; i++) {
        if (i < count && !sounds[i])
            continue;
        if (i - begin > longest) {
            longest = i - begin;
            middle = begin + longest / 2;
        }
        begin = i + 1;
    }
    return middle;
}

int64_t segment_overlap(int64_t most)
{
    return most / 4 < SEGMENT_OVERLAP ? most / 4 : SEGMENT_OVERLAP;
}

/* Which of `count` frames from `start` on are not silent; levels: room for 2 * count numbers. */
static void mark_sounds(bool *sounds, double *levels, const struct clip *clip, int64_t start,
                        int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        levels[i] = frame_level(clip, start + i);
    const double silence = silence_level(levels + count, levels, count);
    for (int64_t i = 0; i < count; i++)
        sounds[i] = levels[i] > silence;
}

/* Fills in where the segment that begins at s->start ends, and returns where the next one begins.
   sounds and levels: room for `most` and 2 * most of them. */
static int64_t end_segment(struct segment *s, const struct clip *clip, int64_t most, bool *sounds,
                           double *levels)
{
    s->count = most;
    mark_sounds(sounds, levels, clip, s->start, most);
    int64_t cut = segment_pause(sounds, most, SILENCE_FRAMES);
    if (cut > s->overlap) {
        s->count = cut;
        return s->start + cut;
    }
    return s->start + most - segment_overlap(most);
}

int segment_clip(struct segment *segments, int room, const struct clip *clip, int64_t frames,
                 int64_t most, struct error *err)
{
    int count = 0;
    int64_t end = 0, next = 0;
    double *levels = memory_new((size_t)most, 2 * sizeof *levels);
    bool *sounds = memory_new((size_t)most, sizeof *sounds);
    if (!levels || !sounds) {
        memory_free(levels);
        memory_free(sounds);
        return error_set(err, ERROR_MEMORY, "out of memory");
    }
    while (end < frames && count < room) {
        struct segment *s = &segments[count++];
        *s = (struct segment){.start = next, .count = frames - next, .overlap = end - next};
        if (s->count > most)
            next = end_segment(s, clip, most, sounds, levels);
        end = s->start + s->count;
    }
    memory_free(levels);
    memory_free(sounds);
    if (end < frames)
        return error_set(err, ERROR_LIMIT, "the clip needs more than %d segments of %.1f s", room,
                         (double)most / 25);
    return count;
}

int segment_sounds(bool *sounds, const struct segment *s, const struct clip *clip,
                   struct error *err)
{
    double *levels = memory_new((size_t)s->count, 2 * sizeof *levels);
    if (!levels)
        return error_set(err, ERROR_MEMORY, "out of memory");
    mark_sounds(sounds, levels, clip, s->start, s->count);
    memory_free(levels);
    return 0;
}
