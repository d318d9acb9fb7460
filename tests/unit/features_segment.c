/* Long clips in segments: cut in silences, or with an overlap where there is none. */
#include "features/segment.h"
#include "base/memory.h"
#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

enum { ROOM = 16 };

static struct error err;

/* Noise of loudness 0.1 in 40 ms frames, each by a random factor of at most 2, and quiet_level
   in frames quiet[i][0] .. quiet[i][1] - 1. */
static void make_clip(struct clip *clip, int64_t frames, float quiet_level, const int (*quiet)[2],
                      int count)
{
    struct random random;
    random_seed(&random, 3);
    *clip = (struct clip){.samples = frames * FRAME_SAMPLES, .has_sound = true};
    clip->pcm = memory_new((size_t)clip->samples, sizeof *clip->pcm);
    assert_non_null(clip->pcm);
    for (int64_t f = 0; f < frames; f++) {
        double level = 0.1 + 0.1 * random_uniform(&random);
        for (int i = 0; i < count; i++)
            if (f >= quiet[i][0] && f < quiet[i][1])
                level = quiet_level;
        for (int i = 0; i < FRAME_SAMPLES; i++)
            clip->pcm[f * FRAME_SAMPLES + i] = (float)(level * random_normal(&random));
    }
}

/* Whatever the clip: all of it is covered, in order, and no segment is longer than `most`. */
static int cut(struct segment *s, const struct clip *clip, int64_t frames, int64_t most)
{
    int count = segment_clip(s, ROOM, clip, frames, most, &err);
    int64_t end = 0;
    assert_true(count > 0);
    for (int i = 0; i < count; i++) {
        assert_true(s[i].count >= 1 && s[i].count <= most);
        assert_int_equal(s[i].start, end - s[i].overlap);
        assert_true(s[i].overlap >= 0 && s[i].overlap < s[i].count);
        end = s[i].start + s[i].count;
    }
    assert_int_equal(end, frames);
    return count;
}

static void short_clips_stay_whole(void **state)
{
    (void)state;
    struct segment s[ROOM];
    struct clip clip;
    make_clip(&clip, 100, 0, NULL, 0);
    assert_int_equal(cut(s, &clip, 100, 100), 1);
    assert_int_equal(cut(s, &clip, 7, 100), 1);
    assert_int_equal(segment_clip(s, ROOM, &clip, 0, 100, &err), 0);
    clip_release(&clip);
}

/* In the middle of the longest one, be it digital silence or a room; not in a stop's closure. */
static void cut_in_silences(void **state)
{
    (void)state;
    static const int quiet[][2] = {{20, 30}, {60, 66}, {80, 90}, {97, 100}, {150, 160}};
    static const float levels[] = {0, 0.001f, 0.01f};
    for (int i = 0; i < 3; i++) {
        struct segment s[ROOM];
        struct clip clip;
        make_clip(&clip, 240, levels[i], quiet, 5);
        assert_int_equal(cut(s, &clip, 240, 100), 3);
        assert_int_equal(s[0].count, 85);
        assert_int_equal(s[1].start + s[1].count, 155);
        assert_int_equal(s[1].overlap + s[2].overlap, 0);
        clip_release(&clip);
    }
}

static void overlap_without_silence(void **state)
{
    (void)state;
    static const int closures[][2] = {{60, 64}, {80, 84}, {92, 96}, {160, 164}};
    struct segment s[ROOM];
    struct clip clip;
    make_clip(&clip, 220, 0.001f, closures, 4); /* too short to be pauses */
    assert_int_equal(cut(s, &clip, 220, 100), 3);
    assert_int_equal(s[0].count, 100);
    assert_int_equal(s[1].overlap, SEGMENT_OVERLAP);
    assert_int_equal(s[2].overlap, SEGMENT_OVERLAP);
    assert_int_equal(cut(s, &clip, 220, 40), 7); /* a quarter of the segment at most */
    assert_int_equal(s[1].overlap, 10);
    assert_int_equal(cut(s, &clip, 9, 1), 9);
    clip_release(&clip);
}

/* Noise that is only a little softer in places has no pauses. */
static void noise_has_no_silence(void **state)
{
    (void)state;
    static const int softer[][2] = {{60, 80}, {130, 150}};
    struct segment s[ROOM];
    struct clip clip;
    make_clip(&clip, 180, 0.06f, softer, 2);
    assert_int_equal(cut(s, &clip, 180, 100), 3);
    assert_int_equal(s[1].overlap, SEGMENT_OVERLAP);
    clip_release(&clip);
}

static void pictures_alone(void **state)
{
    (void)state;
    struct segment s[ROOM];
    const struct clip clip = {.frames = 180, .has_pictures = true, .has_face = true};
    assert_int_equal(cut(s, &clip, 180, 100), 3);
    assert_int_equal(s[1].overlap, SEGMENT_OVERLAP);
}

static void too_long(void **state)
{
    (void)state;
    struct segment s[ROOM];
    const struct clip clip = {.frames = 5000};
    assert_int_equal(segment_clip(s, ROOM, &clip, 5000, 100, &err), ERROR_LIMIT);
    assert_non_null(strstr(err.message, "16 segments of 4.0 s"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(short_clips_stay_whole),  cmocka_unit_test(cut_in_silences),
        cmocka_unit_test(overlap_without_silence), cmocka_unit_test(noise_has_no_silence),
        cmocka_unit_test(pictures_alone),          cmocka_unit_test(too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
