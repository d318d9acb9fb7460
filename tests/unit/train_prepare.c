/* Preparing a data set: prepared clips are what the sources are, cuts keep every word, what is left
   out is told, and work is done once, by however many runs. */
#include "drawn_face.h"
#include "mouth_clips.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/random.h"
#include "features/clip.h"
#include "train/prepare.h"
#include "train/prepare_journal.h"

#include <sys/stat.h>
#include <utime.h>

static char folder[TEMPORARY_FOLDER];

static int make(void **state)
{
    (void)state;
    return temporary_folder_make(folder);
}

static int clear(void **state)
{
    (void)state;
    return temporary_folder_remove(folder);
}

/* folder/name */
static const char *at(const char *name)
{
    static char paths[4][256];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, 256, "%s/%s", folder, name);
    return path;
}

static void put(const char *name, const char *text)
{
    assert_int_equal(temporary_folder_put(folder, name, text), 0);
}

static char *whole(const char *name)
{
    struct error err = {0};
    char *text;
    size_t size;
    if (file_read(&text, &size, at(name), 1 << 20, &err))
        fail_msg("%s", err.message);
    return text;
}

/* Whether a file holds a line of that beginning. */
static bool has_line(const char *name, const char *start)
{
    char *text = whole(name);
    bool found = false;
    for (const char *line = text; line && !found; line = strchr(line, '\n')) {
        line += *line == '\n';
        found = strncmp(line, start, strlen(start)) == 0;
    }
    memory_free(text);
    return found;
}

/* seconds of pictures of `side` pixels, all of one gray (< 0: of mouths), with sound of that
   loudness. */
static void write_clip(const char *name, int side, int gray, double seconds, float loud)
{
    struct error err = {0};
    struct writer *w;
    const struct writer_options o = {
        .width = side, .height = side, .sample_rate = loud >= 0 ? 16000 : 0};
    uint8_t *rgb = malloc((size_t)(side * side * 3) + MOUTH_PIXELS * 3);
    float pcm[640];
    assert_int_equal(writer_open(&w, at(name), &o, &err), 0);
    for (int k = 0; k < (int)(seconds * 25); k++) {
        for (int i = 0; i < 640; i++)
            pcm[i] = loud * sinf((float)(640 * k + i) * 0.1f);
        if (gray < 0)
            mouth_clip_picture(rgb, k % 5 - 1);
        else
            memset(rgb, gray, (size_t)(side * side * 3));
        if (side)
            assert_int_equal(writer_picture(w, rgb, side * 3, &err), 0);
        if (loud >= 0)
            assert_int_equal(writer_sound(w, pcm, 640, &err), 0);
    }
    assert_int_equal(writer_close(w, &err), 0);
    free(rgb);
}

static struct prepare_options defaults(char paths[2][256])
{
    snprintf(paths[0], 256, "%s/in", folder);
    snprintf(paths[1], 256, "%s/out", folder);
    return (struct prepare_options){.source = paths[0],
                                    .output = paths[1],
                                    .most_ms = 24000,
                                    .shard = 1,
                                    .shards = 1,
                                    .jobs = 2};
}

static struct prepare_summary run(const struct prepare_options *o)
{
    struct prepare_summary s;
    struct error err = {0};
    if (prepare(&s, o, &err))
        fail_msg("%s", err.message);
    return s;
}

/* The prepared clip is its source from `frame` on: mouths to the bit, sound to half a 2^-15. */
static void assert_same(const char *source, const char *prepared, int64_t frame, int64_t frames)
{
    struct clip a, b;
    struct error err = {0};
    if (clip_load(&a, source, NULL, &err) || clip_load(&b, at(prepared), NULL, &err))
        fail_msg("%s", err.message);
    if (frames == 0)
        assert_int_equal(a.samples, b.samples);
    assert_int_equal(b.frames, frames ? frames : a.frames);
    assert_memory_equal(b.mouth, a.mouth + frame * MOUTH_PIXELS, b.frames * MOUTH_PIXELS);
    for (int64_t i = 0; i < b.samples; i++)
        assert_true(fabsf(b.pcm[i] - a.pcm[i + frame * FRAME_SAMPLES]) <= 0.5f / 32768 + 1e-7f);
    clip_release(&a);
    clip_release(&b);
}

/* A talking face, tracked: what training would see is the same. */
static void like_the_source(void **state)
{
    (void)state;
    char paths[2][256];
    struct prepare_options o = defaults(paths);
    struct prepare_summary s;
    struct error err = {0};
    char samples[4096];
    snprintf(samples, sizeof samples, "samples/manifest.tsv");
    o.source = samples;
    int rc = prepare(&s, &o, &err);
    if (rc && strstr(err.message, "MOME_LANDMARKS"))
        skip();
    if (rc)
        fail_msg("%s", err.message);
    assert_int_equal(s.kept, 6);
    assert_int_equal(s.files, 6);
    assert_same("samples/000000.mp4", "out/clips/000000.mkv", 0, 0);
    assert_true(
        has_line("out/manifest.tsv",
                 "clips/000000.mkv\tlay white in n two please\tlay:320:520 white:520:910 "));
    assert_int_equal(run(&o).done, 0); /* nothing is left to do */
}

/* Every reason, each once. */
static void what_is_left_out(void **state)
{
    (void)state;
    char paths[2][256];
    struct prepare_options o = defaults(paths);
    static const char *const names[] = {"good",  "gray", "mute", "silent", "blind",
                                        "short", "long", "half", "junk",   "wordless"};
    mkdir(at("in"), 0777);
    for (int i = 0; i < 9; i++) {
        char name[64];
        snprintf(name, sizeof name, "in/%s.txt", names[i]);
        put(name, "Some Words");
    }
    write_clip("in/good.mp4", 96, -1, 1, 0.5f);
    write_clip("in/gray.mp4", 160, 100, 1, 0.5f);
    write_clip("in/mute.mp4", 96, -1, 1, -1);
    write_clip("in/silent.mp4", 96, -1, 1, 0);
    write_clip("in/blind.wav", 0, 0, 1, 0.5f);
    write_clip("in/short.mp4", 96, -1, 0.4, 0.5f);
    write_clip("in/long.mp4", 96, -1, 4, 0.5f);
    write_clip("in/half.mkv", 96, 0, 1, 0.5f); /* black: no mouth is in it */
    write_clip("in/wordless.mp4", 96, -1, 1, 0.5f);
    put("in/junk.mp4", "this is no film");
    o.most_ms = 3000 / 40 * 40;
    struct prepare_summary s = run(&o);
    assert_int_equal(s.clips, 10);
    assert_int_equal(s.kept, 1);
    assert_int_equal(s.done, 9);
    assert_true(has_line("out/manifest.tsv", "clips/good.mkv\tsome words\t\n"));
    assert_true(has_line("out/dropped.tsv", "gray.mp4\tno face\t"));
    assert_true(has_line("out/dropped.tsv", "mute.mp4\tno sound\t"));
    assert_true(has_line("out/dropped.tsv", "silent.mp4\tno sound\tall of its samples are 0"));
    assert_true(has_line("out/dropped.tsv", "blind.wav\tno pictures\t"));
    assert_true(has_line("out/dropped.tsv", "short.mp4\ttoo short\t"));
    assert_true(has_line("out/dropped.tsv", "long.mp4\ttoo long\t"));
    assert_true(has_line("out/dropped.tsv", "half.mkv\tfew faces\t"));
    assert_true(has_line("out/dropped.tsv", "junk.mp4\tunreadable\tnot a media file"));
    assert_true(has_line("out/dropped.tsv", "wordless.mp4\tno text\t"));
    for (int i = DROP_NO_TEXT; i < DROPS; i++)
        assert_int_equal(s.dropped[i], i == DROP_NO_SOUND ? 2 : 1);
    assert_same(at("in/good.mp4"), "out/clips/good.mkv", 0, 0);
    /* sound alone: the lips do not matter any more */
    o.streams = PREPARE_SOUND;
    s = run(&o);
    assert_int_equal(s.kept, 4);
    assert_int_equal(s.dropped[DROP_NO_SOUND], 2);
    assert_true(has_line("out/manifest.tsv", "clips/gray.mkv\tsome words\t\n"));
    /* and lips alone */
    o.streams = PREPARE_LIPS;
    s = run(&o);
    assert_int_equal(s.kept, 3);
    assert_true(has_line("out/manifest.tsv", "clips/mute.mkv\tsome words\t\n"));
}

/* auto_avsr's prepared data: crops without sound, and the sound beside them. */
static void sound_beside(void **state)
{
    (void)state;
    char paths[2][256];
    struct prepare_options o = defaults(paths);
    mkdir(at("in"), 0777);
    write_clip("in/a.mp4", 96, -1, 1, -1);
    write_clip("in/a.wav", 0, 0, 1, 0.5f);
    put("in/train.csv", "lrs3,a.mp4,25,1 2 3,HELLO, YOU\n");
    struct prepare_summary s = run(&o);
    assert_int_equal(s.format, IMPORT_CSV);
    assert_int_equal(s.kept, 1);
    assert_true(has_line("out/train.tsv", "clips/a.mkv\thello, you\t\ttrain\n"));
    struct clip clip;
    struct error err = {0};
    assert_int_equal(clip_load(&clip, at("out/clips/a.mkv"), NULL, &err), 0);
    assert_int_equal(clip.frames, 25);
    assert_int_equal(clip.samples, 16000);
    clip_release(&clip);
}

/* A long clip with word times becomes pieces, and none of its words is lost. */
static void cutting(void **state)
{
    (void)state;
    char paths[2][256];
    struct prepare_options o = defaults(paths);
    mkdir(at("in"), 0777);
    mkdir(at("in/pretrain"), 0777);
    mkdir(at("in/pretrain/7"), 0777);
    write_clip("in/pretrain/7/00001.mp4", 96, -1, 8, 0.5f);
    put("in/pretrain/7/00001.txt", "Text:  ONE TWO THREE FOUR\n\nWORD START END ASDSCORE\n"
                                   "ONE 0.2 0.6 1\nTWO 1.9 2.1 1\nTHREE 2.5 2.9 1\n"
                                   "FOUR 5.9 6.2 1\n");
    o.most_ms = 3000;
    struct prepare_summary s = run(&o);
    assert_int_equal(s.kept, 1);
    assert_int_equal(s.files, 3);
    assert_true(has_line("out/pretrain.tsv", "pretrain/7") == false);
    assert_true(has_line("out/pretrain.tsv", "pieces/pretrain/7/00001/1.mkv\tone two\tone:200:600 "
                                             "two:1900:2100\tpretrain\n"));
    /* cut in the middle of 2.1 .. 2.5, at a picture */
    assert_same(at("in/pretrain/7/00001.mp4"), "out/pieces/pretrain/7/00001/1.mkv", 0, 58);
    assert_true(has_line("out/pretrain.tsv",
                         "pieces/pretrain/7/00001/2.mkv\tthree\tthree:180:580\tpretrain\n"));
    assert_true(has_line("out/pretrain.tsv", "pieces/pretrain/7/00001/3.mkv\tfour\t"));
}

static void plans(void **state)
{
    (void)state;
    struct random random;
    random_seed(&random, 5);
    for (int round = 0; round < 2000; round++) {
        struct manifest_word words[40];
        char text[400] = "";
        struct spoken spoken = {.text = text, .words = words};
        spoken.word_count = 1 + (int32_t)random_below(&random, 40);
        const int32_t most = 40 * (12 + (int32_t)random_below(&random, 200));
        int32_t now = 0;
        for (int i = 0; i < spoken.word_count; i++) {
            words[i] = (struct manifest_word){.text = "w", .start_ms = now};
            now += (int32_t)random_below(&random, 500);
            words[i].end_ms = now;
            now += (int32_t)random_below(&random, round % 2 ? 3000 : 100);
            strcat(text, i ? " w" : "w");
        }
        struct piece *pieces;
        int count = prepare_plan(&pieces, &spoken, most);
        assert_true(count >= 1);
        int32_t word = 0, start = 0;
        for (int i = 0; i < count; i++) {
            assert_int_equal(pieces[i].first_word, word);
            assert_int_equal(pieces[i].start_ms, start);
            assert_true(pieces[i].word_count > 0);
            assert_true(pieces[i].end_ms - start <= most && pieces[i].end_ms > start);
            assert_int_equal(pieces[i].end_ms % 40, 0);
            word += pieces[i].word_count;
            start = pieces[i].end_ms;
        }
        assert_int_equal(word, spoken.word_count);
        memory_free(pieces);
    }
}

/* Two of three shards leave the lists to the last; a changed or lost clip is done again. */
static void shards_and_again(void **state)
{
    (void)state;
    char paths[2][256];
    struct prepare_options o = defaults(paths);
    struct utimbuf then = {1000000000, 1000000000};
    mkdir(at("in"), 0777);
    for (int i = 0; i < 7; i++) {
        char name[32];
        snprintf(name, sizeof name, "in/%d.mp4", i);
        write_clip(name, 96, -1, 0.6, 0.5f);
        snprintf(name, sizeof name, "in/%d.txt", i);
        put(name, "word");
    }
    put("in/6.mp4", "rubbish");
    o.shards = 3;
    struct prepare_summary s = run(&o);
    assert_int_equal(s.done, 3);
    assert_int_equal(s.waiting, 4);
    o.shard = 3;
    assert_int_equal(run(&o).waiting, 2);
    assert_int_not_equal(access(at("out/manifest.tsv"), F_OK), 0);
    o.shard = 2;
    s = run(&o);
    assert_int_equal(s.done, 2);
    assert_int_equal(s.waiting, 0);
    assert_int_equal(s.kept, 6);
    assert_int_equal(s.dropped[DROP_UNREADABLE], 1);
    assert_true(has_line("out/manifest.tsv", "clips/5.mkv\tword"));
    /* all of it again, by one: nothing to do but what changed */
    o.shard = o.shards = 1;
    assert_int_equal(run(&o).done, 0);
    utime(at("in/3.mp4"), &then);
    unlink(at("out/clips/4.mkv"));
    put("out/clips/5.mkv", "half a file");
    s = run(&o);
    assert_int_equal(s.done, 3);
    assert_int_equal(s.kept, 6);
    assert_same(at("in/5.mp4"), "out/clips/5.mkv", 0, 0);
    assert_int_equal(run(&o).done, 0);
    /* what is broken in the journals is done again, without a word */
    put("out/work/1-of-3.tsv", "0.mp4\tnot a key\tkept\n1.mp4");
    put("out/work/1-of-1.tsv", "half a line");
    s = run(&o);
    assert_int_equal(s.done, 3);
    assert_int_equal(s.kept, 6);
    assert_int_equal(run(&o).done, 0);
}

static int stop_after_two(void *arg, int64_t done, int64_t total, int64_t left_out)
{
    (void)arg, (void)total, (void)left_out;
    return done >= 2;
}

static void stopping(void **state)
{
    (void)state;
    char paths[2][256];
    struct prepare_options o = defaults(paths);
    struct prepare_summary s;
    struct error err = {0};
    mkdir(at("in"), 0777);
    for (int i = 0; i < 6; i++) {
        char name[32];
        snprintf(name, sizeof name, "in/%d.mp4", i);
        write_clip(name, 96, -1, 0.6, 0.5f);
        snprintf(name, sizeof name, "in/%d.txt", i);
        put(name, "word");
    }
    o.report = stop_after_two;
    o.jobs = 1;
    assert_int_equal(prepare(&s, &o, &err), ERROR_CANCELLED);
    o.report = NULL;
    s = run(&o);
    assert_int_equal(s.done, 4);
    assert_int_equal(s.kept, 6);
    /* refused */
    err = (struct error){0};
    o.output = o.source;
    assert_int_equal(prepare(&s, &o, &err), ERROR_USAGE);
    err = (struct error){0};
    o = defaults(paths);
    o.split = "test";
    assert_int_equal(prepare(&s, &o, &err), ERROR_USAGE);
    assert_non_null(strstr(err.message, "no split \"test\"; there are none"));
    /* two runs of one shard at a time */
    struct journal_writer w;
    assert_int_equal(journal_open(&w, at("out/work/1-of-1.tsv"), &err), 0);
    o.split = NULL;
    assert_int_equal(prepare(&s, &o, &err), ERROR_IO);
    assert_non_null(strstr(err.message, "another run"));
    journal_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(like_the_source, make, clear),
        cmocka_unit_test_setup_teardown(what_is_left_out, make, clear),
        cmocka_unit_test_setup_teardown(sound_beside, make, clear),
        cmocka_unit_test_setup_teardown(cutting, make, clear),
        cmocka_unit_test(plans),
        cmocka_unit_test_setup_teardown(shards_and_again, make, clear),
        cmocka_unit_test_setup_teardown(stopping, make, clear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
