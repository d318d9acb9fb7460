/* An .mkv of the writer loses nothing: any picture comes back to the bit, any 16 bit sample too, as
   many as were written and at their times; and the reader passes mouths on as they are. */
#include "made_clip.h"
#include "base/random.h"

enum { SIDE = 96, PICTURES = 53, SAMPLES = 33333 };

struct made_up {
    uint8_t rgb[PICTURES][SIDE * SIDE * 3];
    float pcm[SAMPLES];
};

/* Noise: no codec that loses something would return it. */
static struct made_up *make_up(void)
{
    struct made_up *m = malloc(sizeof *m);
    struct random random;
    assert_non_null(m);
    random_seed(&random, 1);
    for (size_t i = 0; i < sizeof m->rgb; i++)
        ((uint8_t *)m->rgb)[i] = (uint8_t)random_below(&random, 256);
    for (int i = 0; i < SAMPLES; i++)
        m->pcm[i] = (float)(random_below(&random, 65536) - 32768) / 32768;
    return m;
}

static void write_all(const struct made_up *m, const char *path, bool pictures, bool sound)
{
    struct error err = {0};
    struct writer *w;
    const struct writer_options o = {.width = pictures ? SIDE : 0,
                                     .height = pictures ? SIDE : 0,
                                     .sample_rate = sound ? MEDIA_SAMPLE_RATE : 0};
    if (writer_open(&w, path, &o, &err))
        fail_msg("%s", err.message);
    for (int k = 0; pictures && k < PICTURES; k++)
        assert_int_equal(writer_picture(w, m->rgb[k], SIDE * 3, &err), 0);
    if (sound)
        assert_int_equal(writer_sound(w, m->pcm, SAMPLES, &err), 0);
    if (writer_close(w, &err))
        fail_msg("%s", err.message);
}

static void read_all(const struct made_up *m, const char *path, bool pictures, bool sound)
{
    struct error err = {0};
    struct media *media;
    struct media_chunk chunk;
    int64_t seen = 0, heard = 0;
    int rc;
    assert_int_equal(media_open(&media, path, NULL, &err), 0);
    while ((rc = media_read(media, &chunk, &err)) == 1) {
        if (chunk.kind == MEDIA_SOUND) {
            assert_in_range(heard + chunk.count, 1, SAMPLES);
            assert_memory_equal(chunk.pcm, m->pcm + heard, (size_t)chunk.count * sizeof(float));
            heard += chunk.count;
            continue;
        }
        assert_in_range(seen, 0, PICTURES - 1);
        assert_int_equal(chunk.width, SIDE);
        for (int y = 0; y < SIDE; y++)
            assert_memory_equal(chunk.rgb + y * chunk.stride, m->rgb[seen] + y * SIDE * 3,
                                SIDE * 3);
        seen++;
    }
    media_close(media);
    if (rc)
        fail_msg("%s", err.message);
    assert_int_equal(seen, pictures ? PICTURES : 0);
    assert_int_equal(heard, sound ? SAMPLES : 0);
}

static void come_back(void **state)
{
    (void)state;
    struct made_up *m = make_up();
    char path[256];
    for (int streams = 1; streams < 4; streams++) {
        made_path(path, "clip.mkv");
        write_all(m, path, streams & 1, streams & 2);
        read_all(m, path, streams & 1, streams & 2);
        made_remove(path);
    }
    made_path(path, "clip.wav");
    write_all(m, path, false, true);
    read_all(m, path, false, true);
    made_remove(path);
    free(m);
}

static void takes_no_quality(void **state)
{
    (void)state;
    struct error err = {0};
    struct writer *w;
    const struct writer_options o = {.sample_rate = 16000, .quality = 20};
    assert_int_equal(writer_open(&w, "/tmp/none.mkv", &o, &err), ERROR_USAGE);
    assert_non_null(strstr(err.message, "loses nothing"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(come_back),
        cmocka_unit_test(takes_no_quality),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
