/* Importers: what each layout says is said, times, splits; and what an enemy would put there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "temporary_folder.h"
#include "base/file.h"
#include "base/memory.h"
#include "train/import.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

static void put(const char *name, const char *text)
{
    assert_int_equal(temporary_folder_put(folder, name, text), 0);
}

static void open_list(struct import_list *list, enum import_format format)
{
    struct error err = {0};
    if (import_open(list, folder, format, NULL, &err))
        fail_msg("%s", err.message);
}

static const struct import_clip *find(const struct import_list *list, const char *path)
{
    for (int64_t i = 0; i < list->count; i++)
        if (strcmp(list->clips[i].path, path) == 0)
            return &list->clips[i];
    fail_msg("%s is not in the list", path);
    return NULL;
}

static void assert_kept(const struct import_list *list, const char *path, const char *text,
                        const char *split)
{
    const struct import_clip *clip = find(list, path);
    if (clip->drop)
        fail_msg("%s: dropped: %s, %s", path, drop_name(clip->drop), clip->detail);
    assert_string_equal(clip->spoken.text, text);
    if (split)
        assert_string_equal(clip->split, split);
    else
        assert_null(clip->split);
}

static void assert_dropped(const struct import_list *list, const char *path, enum drop drop)
{
    const struct import_clip *clip = find(list, path);
    if (clip->drop != drop)
        fail_msg("%s: %s, not %s", path, drop_name(clip->drop), drop_name(drop));
}

/* Words as a manifest has them. */
static void assert_words(const struct spoken *t, const char *wanted)
{
    char all[512] = "";
    for (int32_t i = 0; i < t->word_count; i++)
        snprintf(all + strlen(all), sizeof all - strlen(all), "%s%s:%d:%d", i ? " " : "",
                 t->words[i].text, t->words[i].start_ms, t->words[i].end_ms);
    assert_string_equal(all, wanted);
}

static void a_folder(void **state)
{
    (void)state;
    struct import_list list;
    put("a/one.mp4", "-");
    put("a/one.txt", "\xef\xbb\xbf  It's\tONE \r\n line, and\xc2\xa0TWO\n");
    put("a/one.wav", "-");
    put("b.wav", "-");
    put("b.txt", "b");
    put("c.mkv", "-");
    put("d.mp4", "-");
    put("d.txt", "\xff\xfe");
    put("e.mp4", "-");
    put("e.txt", " \n");
    put("f.mp4", "-");
    put("f.mpg", "-");
    put("f.txt", "f");
    put(".hidden.mp4", "-");
    put("notes.pdf", "-");
    open_list(&list, IMPORT_AUTO);
    assert_int_equal(list.format, IMPORT_FOLDER);
    assert_int_equal(list.count, 7);
    assert_kept(&list, "a/one.mp4", "it's one line, and two", NULL);
    assert_string_equal(find(&list, "a/one.mp4")->sound, "a/one.wav");
    assert_kept(&list, "b.wav", "b", NULL);
    assert_null(find(&list, "b.wav")->sound);
    assert_dropped(&list, "c.mkv", DROP_NO_TEXT);
    assert_dropped(&list, "d.mp4", DROP_NO_TEXT);
    assert_non_null(strstr(find(&list, "d.mp4")->detail, "UTF-8"));
    assert_dropped(&list, "e.mp4", DROP_NO_TEXT);
    assert_kept(&list, "f.mp4", "f", NULL);
    assert_dropped(&list, "f.mpg", DROP_SAME_NAME);
    import_release(&list);
}

/* Nothing outside of the folder is opened, whatever way leads there. */
static void leading_out(void **state)
{
    (void)state;
    struct import_list list;
    char path[300];
    put("inside/a.mp4", "-");
    put("inside/manifest.tsv", "path\ttext\n"
                               "a.mp4\tgood\n"
                               "../secret.mp4\tup\n"
                               "sub/../../secret.mp4\tup later\n"
                               "/etc/passwd\tabsolute\n"
                               "link.mp4\tby a link\n"
                               "folder.mp4\tno file\n"
                               "pipe.mp4\ta pipe\n"
                               "none.mp4\tmissing\n"
                               "broken line\n"
                               "./a.mp4\ttwice\n");
    put("inside/folder.mp4/x", "-");
    put("secret.mp4", "-");
    put("secret.txt", "SECRET");
    snprintf(path, sizeof path, "%s/inside/link.mp4", folder);
    assert_int_equal(symlink("../secret.mp4", path), 0);
    snprintf(path, sizeof path, "%s/inside/pipe.mp4", folder);
    assert_int_equal(mkfifo(path, 0600), 0);
    snprintf(path, sizeof path, "%s/inside", folder);
    struct error err = {0};
    assert_int_equal(import_open(&list, path, IMPORT_AUTO, NULL, &err), 0);
    assert_kept(&list, "a.mp4", "good", NULL);
    assert_dropped(&list, "../secret.mp4", DROP_OUTSIDE);
    assert_dropped(&list, "sub/../../secret.mp4", DROP_OUTSIDE);
    assert_dropped(&list, "/etc/passwd", DROP_OUTSIDE);
    assert_dropped(&list, "link.mp4", DROP_OUTSIDE);
    assert_dropped(&list, "folder.mp4", DROP_MISSING);
    assert_dropped(&list, "pipe.mp4", DROP_MISSING);
    assert_dropped(&list, "none.mp4", DROP_MISSING);
    assert_dropped(&list, "manifest.tsv:10", DROP_BROKEN_LINE);
    assert_int_equal(list.count, 10); /* the second a.mp4 is dropped under the same path */
    import_release(&list);
    /* walked: the link's text is not read, a linked folder is not entered */
    snprintf(path, sizeof path, "%s/inside/manifest.tsv", folder);
    unlink(path);
    put("inside/a.txt", "good");
    snprintf(path, sizeof path, "%s/inside/loop", folder);
    assert_int_equal(symlink("..", path), 0);
    snprintf(path, sizeof path, "%s/inside/b.txt", folder);
    assert_int_equal(symlink("../secret.txt", path), 0);
    put("inside/b.mp4", "-");
    snprintf(path, sizeof path, "%s/inside", folder);
    assert_int_equal(import_open(&list, path, IMPORT_AUTO, NULL, &err), 0);
    assert_kept(&list, "a.mp4", "good", NULL);
    assert_dropped(&list, "b.mp4", DROP_NO_TEXT);
    assert_dropped(&list, "link.mp4", DROP_NO_TEXT);
    assert_dropped(&list, "loop", DROP_OUTSIDE);
    for (int64_t i = 0; i < list.count; i++)
        assert_null(strstr(list.clips[i].path, "secret"));
    import_release(&list);
}

static void lrs(void **state)
{
    (void)state;
    struct import_list list;
    put("main/6330/00001.mp4", "-");
    put("main/6330/00001.txt", "Text:  WHEN {YOU'RE} COOKING\nConf:  4\n");
    put("main/6330/00002.mp4", "-");
    put("main/6330/00002.txt", "Text:  CHIPS AT HOME\n");
    put("main/6331/00001.mp4", "-");
    put("main/6331/00001.txt", "Text:  TWO TESTS\n");
    put("main/6331/00002.mp4", "-");
    put("main/6331/00002.txt", "no such line\n");
    put("pretrain/6330/00001.mp4", "-");
    put("pretrain/6330/00001.txt", "Text:  AND SO {LG} ON\r\nConf:  3\r\n\r\nWORD START END "
                                   "ASDSCORE\r\nAND 0.12 0.255 11.0\r\n"
                                   "SO 0.3 0.5 2\r\n{LG} 0.5 0.9 2\r\nON 0.9 1.0004 -1.5\r\n");
    put("train.txt", "6330/00001 NF050000\n6331/00001\n");
    put("val.txt", "6330/00002\n6339/00009\n../../etc/passwd\n");
    put("test.txt", "6331/00001 NF190185\n");
    open_list(&list, IMPORT_AUTO);
    assert_int_equal(list.format, IMPORT_LRS);
    assert_kept(&list, "main/6330/00001.mp4", "when you're cooking", "train");
    assert_kept(&list, "main/6330/00002.mp4", "chips at home", "val");
    assert_kept(&list, "main/6331/00001.mp4", "two tests", "test"); /* never train on a test */
    assert_dropped(&list, "main/6331/00002.mp4", DROP_NO_TEXT);
    assert_kept(&list, "pretrain/6330/00001.mp4", "and so lg on", "pretrain");
    const struct spoken *t = &find(&list, "pretrain/6330/00001.mp4")->spoken;
    assert_words(t, "and:120:255 so:300:500 lg:500:900 on:900:1000");
    assert_true(spoken_timed(t));
    assert_dropped(&list, "6339/00009", DROP_MISSING);
    assert_dropped(&list, "../../etc/passwd", DROP_OUTSIDE);
    import_release(&list);
}

static void labels(void **state)
{
    (void)state;
    struct import_list list;
    put("lrs3/lrs3_video_seg24s/test/a/00001.mp4", "-");
    put("lrs3/lrs3_video_seg24s/test/a/00001.wav", "-");
    put("plain/b.mp4", "-");
    put("c.mp4", "-");
    put("labels/test.csv",
        "lrs3,lrs3_video_seg24s/test/a/00001.mp4,75,12 7 9,Well, yes, THAT is it\n"
        "lrs3,lrs3_video_seg24s/test/none.mp4,75,12,gone\r\n"
        "plain,b.mp4,30,1 2 3\n"
        ",c.mp4,30,,\"He said \"\"no\"\", twice\"\n");
    put("labels/train.csv", "\n,c.mp4,30,5,again\nx,../../etc/passwd,3,1,out\n..,c.mp4,3,1,out\n"
                            "half a line,x\n");
    open_list(&list, IMPORT_AUTO);
    assert_int_equal(list.format, IMPORT_CSV);
    assert_kept(&list, "lrs3/lrs3_video_seg24s/test/a/00001.mp4", "well, yes, that is it", "test");
    assert_string_equal(find(&list, "lrs3/lrs3_video_seg24s/test/a/00001.mp4")->sound,
                        "lrs3/lrs3_video_seg24s/test/a/00001.wav");
    assert_dropped(&list, "lrs3_video_seg24s/test/none.mp4", DROP_MISSING);
    assert_dropped(&list, "plain/b.mp4", DROP_NO_TEXT);
    assert_kept(&list, "c.mp4", "he said \"no\", twice", "test");
    assert_dropped(&list, "../../etc/passwd", DROP_OUTSIDE);
    assert_dropped(&list, "train.csv:5", DROP_BROKEN_LINE);
    int same = 0;
    for (int64_t i = 0; i < list.count; i++)
        same += list.clips[i].drop == DROP_SAME_NAME;
    assert_int_equal(same, 2); /* c.mp4 in the other split, twice */
    import_release(&list);
    /* one file alone: its folder's parent is the root */
    char path[128];
    struct error err = {0};
    snprintf(path, sizeof path, "%s/labels/train.csv", folder);
    assert_int_equal(import_open(&list, path, IMPORT_AUTO, NULL, &err), 0);
    assert_kept(&list, "c.mp4", "again", "train");
    import_release(&list);
}

static void grid(void **state)
{
    (void)state;
    struct import_list list;
    put("s1/bbaf3s.mpg", "-");
    put("s1/align/bbaf3s.align", "0 23750 sil\n23750 29500 bin\n29500 34000 blue\n34000 35500 sp\n"
                                 "35500 41000 at\n41000 47250 f\n47250 53000 three\n"
                                 "53000 60000 soon\n60000 74500 sil\n");
    put("s1/lwwz1n.mp4", "-");
    put("s2/s2_l_swizzp.mp4", "-");
    put("s2/pwbw1a.mp4", "-");
    put("align/s2/s2_l_swizzp.align", "50000 40000 set\n0 1 white\n");
    open_list(&list, IMPORT_AUTO);
    assert_int_equal(list.format, IMPORT_GRID);
    assert_kept(&list, "s1/bbaf3s.mpg", "bin blue at f three soon", NULL);
    assert_words(&find(&list, "s1/bbaf3s.mpg")->spoken,
                 "bin:950:1180 blue:1180:1360 at:1420:1640 f:1640:1890 three:1890:2120 "
                 "soon:2120:2400");
    assert_kept(&list, "s1/lwwz1n.mp4", "lay white with z one now", NULL);
    assert_words(&find(&list, "s1/lwwz1n.mp4")->spoken, "");
    assert_kept(&list, "s2/s2_l_swizzp.mp4", "set white", NULL);  /* what was heard wins */
    assert_words(&find(&list, "s2/s2_l_swizzp.mp4")->spoken, ""); /* backwards: no times */
    assert_dropped(&list, "s2/pwbw1a.mp4", DROP_NO_TEXT);         /* no w among the letters */
    import_release(&list);
}

static void sentence(const char *name, const char *wanted)
{
    struct spoken t;
    const char *fault = spoken_sentence(&t, name, strlen(name));
    assert_true(!fault == (wanted != NULL));
    if (wanted)
        assert_string_equal(t.text, wanted);
    spoken_release(&t);
}

static void sentences(void **state)
{
    (void)state;
    sentence("bbaf3s", "bin blue at f three soon");
    sentence("prwkzp", "place red with k zero please");
    sentence("s12_p_sgbo9a", "set green by o nine again");
    sentence("bbaf0s", NULL);
    sentence("bbaf3", NULL);
    sentence("", NULL);
    sentence("_", NULL);
    sentence("00001", NULL);
}

/* Times and words that cannot be: the text stays, without them. */
static void bad_times(void **state)
{
    (void)state;
    static const char *const tails[] = {
        "A 0.1 0.2\nB 0.05 0.3\n", "A 0.2 0.1\n",   "A -1 0.2\n", "A 1 1e9\n",
        "A 99999999 99999999\n",   "A nan inf\n",   "A 1\n",      "{} 0.1 0.2\n",
        "A\xc2\xa0X 0.1 0.2\n",    "\xff 0.1 0.2\n"};
    for (size_t i = 0; i < sizeof tails / sizeof *tails; i++) {
        char text[200];
        struct spoken t;
        int n = snprintf(text, sizeof text, "Text: A\n\nWORD START END SCORE\n%s", tails[i]);
        assert_null(spoken_lrs(&t, text, (size_t)n));
        assert_string_equal(t.text, "a");
        assert_int_equal(t.word_count, 0);
        spoken_release(&t);
    }
    struct spoken t;
    assert_non_null(spoken_lrs(&t, "Text:", 5));
    assert_non_null(spoken_lrs(&t, "Text", 4));
    assert_non_null(spoken_plain(&t, NULL, 0));
    char *huge = calloc(1, 1 << 20);
    memset(huge, 'a', 1 << 20);
    assert_non_null(spoken_plain(&t, huge, 1 << 20));
    assert_non_null(spoken_plain(&t, huge, IMPORT_MAX_TEXT + 1));
    assert_null(spoken_plain(&t, huge, IMPORT_MAX_TEXT));
    spoken_release(&t);
    free(huge);
}

static void refused(void **state)
{
    (void)state;
    struct import_list list;
    struct error err = {0};
    assert_int_equal(import_open(&list, "/nowhere/at/all", IMPORT_AUTO, NULL, &err), ERROR_IO);
    assert_int_equal(import_open(&list, folder, IMPORT_AUTO, NULL, &err), ERROR_FORMAT);
    assert_non_null(strstr(err.message, "no clips in it"));
    put("a.mp4", "-");
    assert_int_equal(import_open(&list, folder, IMPORT_AUTO, NULL, &err), ERROR_FORMAT);
    assert_non_null(strstr(err.message, "a.mp4: no text, there is no .txt beside it"));
    assert_int_equal(import_open(&list, "/dev/null", IMPORT_AUTO, NULL, &err), ERROR_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_folder, make, clear),
        cmocka_unit_test_setup_teardown(leading_out, make, clear),
        cmocka_unit_test_setup_teardown(lrs, make, clear),
        cmocka_unit_test_setup_teardown(labels, make, clear),
        cmocka_unit_test_setup_teardown(grid, make, clear),
        cmocka_unit_test(sentences),
        cmocka_unit_test(bad_times),
        cmocka_unit_test_setup_teardown(refused, make, clear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
