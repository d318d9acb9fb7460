/*
 * How well the speaking face is told: bench-speaker NOISE CLIP... (a sound file; clips of one
 * person each, who speaks).
 *
 * Two clips drawn at random are two faces side by side, both speaking, of which one is heard.
 * Prints how often that one is chosen over spans of 1, 2 and 3 s, clean and in noise, how many
 * clips' lips are said to move, and the processor time that following the faces takes.
 */
#include "base/memory.h"
#include "base/random.h"
#include "features/faces.h"
#include "features/speaker.h"
#include "media/media.h"
#include "media/noise.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { CLIPS_MAX = 400, PICTURES = 75, SAMPLES = PICTURES * MEDIA_SAMPLES_PER_PICTURE };
enum { PAIRS = 2000, LEVELS = 3 };

static const double snrs[LEVELS] = {INFINITY, 0, -5};

static struct person {
    float openings[PICTURES], levels[LEVELS][PICTURES];
    int64_t pictures;
} people[CLIPS_MAX];

static struct faces_picture popped;
static double follow_seconds;
static int64_t pictures_followed;

static void note(struct person *p, struct faces *f)
{
    while (faces_pop(f, &popped)) {
        const struct mouth_frame *m = &popped.faces[0].mouth;
        if (popped.index < PICTURES)
            p->openings[popped.index] = popped.count > 0 && m->source == MOUTH_MEASURED
                                            ? speaker_opening(m->landmarks)
                                            : NAN;
        p->pictures++;
    }
}

static int read_clip(struct person *p, float *pcm, struct media *m, struct faces *f,
                     struct error *err)
{
    struct media_chunk c;
    int rc;
    while ((rc = media_read(m, &c, err)) == 1) {
        if (c.kind == MEDIA_SOUND) {
            const int64_t room = SAMPLES - c.start;
            if (room > 0)
                memcpy(pcm + c.start, c.pcm,
                       sizeof *pcm * (size_t)(c.count < room ? c.count : room));
            continue;
        }
        const clock_t start = clock();
        rc = faces_push(f, c.rgb, c.width, c.height, c.stride, err);
        if (rc)
            return rc;
        note(p, f);
        follow_seconds += (double)(clock() - start) / CLOCKS_PER_SEC;
    }
    faces_finish(f);
    note(p, f);
    pictures_followed += p->pictures;
    return rc;
}

static int load(struct person *p, const char *path, struct face_finder *finder,
                const struct noise *noise, struct error *err)
{
    float *pcm = memory_new(2 * SAMPLES, sizeof *pcm), *noisy = pcm + SAMPLES;
    struct media *m = NULL;
    struct faces *f = NULL;
    int rc = media_open(&m, path, NULL, err);
    if (!rc)
        rc = faces_new(&f, finder, err);
    if (!rc)
        rc = read_clip(p, pcm, m, f, err);
    for (int i = 0; !rc && i < LEVELS; i++) {
        memcpy(noisy, pcm, SAMPLES * sizeof *pcm);
        noise_mix(noisy, SAMPLES, noise, snrs[i], 1);
        speaker_levels(p->levels[i], PICTURES, noisy, SAMPLES);
    }
    faces_free(f);
    media_close(m);
    memory_free(pcm);
    return rc;
}

/* How often the one who is heard is chosen, over spans of so many pictures, %. */
static double chosen(int count, int level, int span)
{
    struct random r;
    int right = 0;
    random_seed(&r, 1);
    for (int i = 0; i < PAIRS; i++) {
        const int who = (int)random_below(&r, count);
        const int other = (who + 1 + (int)random_below(&r, count - 1)) % count;
        const int64_t start = random_below(&r, PICTURES - span + 1);
        const float *openings[2] = {people[who].openings + start, people[other].openings + start};
        struct speaker_score scores[2];
        right += speaker_choose(scores, openings, 2, people[who].levels[level] + start, span) == 0;
    }
    return 100.0 * right / PAIRS;
}

static void print_results(int count)
{
    int moving = 0;
    for (int i = 0; i < count; i++) {
        const float *openings = people[i].openings;
        struct speaker_score score;
        speaker_choose(&score, &openings, 1, people[i].levels[0], PICTURES);
        moving += score.moves;
    }
    printf("lips move in %d of %d clips; %.2f ms a picture\n", moving, count,
           1e3 * follow_seconds / (double)pictures_followed);
    printf("the speaking one chosen, %%     1 s     2 s     3 s\n");
    for (int i = 0; count > 1 && i < LEVELS; i++)
        printf("SNR %6.0f dB               %6.1f  %6.1f  %6.1f\n", snrs[i], chosen(count, i, 25),
               chosen(count, i, 50), chosen(count, i, 75));
}

int main(int argc, char **argv)
{
    struct error err = {0};
    struct face_finder *finder = NULL;
    struct noise noise = {0};
    int count = 0;
    if (argc < 3 || face_finder_open(&finder, &err) || noise_load(&noise, argv[1], &err)) {
        fprintf(stderr, "%s\n", argc < 3 ? "usage: bench-speaker NOISE CLIP..." : err.message);
        face_finder_close(finder);
        return 1;
    }
    for (int i = 2; i < argc && count < CLIPS_MAX; i++) {
        people[count] = (struct person){0};
        for (int k = 0; k < PICTURES; k++)
            people[count].openings[k] = NAN;
        if (load(&people[count], argv[i], finder, &noise, &err))
            fprintf(stderr, "%s\n", err.message);
        else if (people[count].pictures >= PICTURES - 5)
            count++;
    }
    print_results(count);
    noise_release(&noise);
    face_finder_close(finder);
    return 0;
}
