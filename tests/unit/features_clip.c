/* Clips as wholes, and their cache: what is in them, what is said of them, that the cache changes
   nothing, and that a damaged cache file is made anew. */
#include "made_clip.h"
#include "drawn_face.h"
#include "base/file.h"
#include "base/memory.h"
#include "features/clip_cache.h"
#include "features/clip_faces.h"

#include <dirent.h>
#include <sys/stat.h>

enum { SIDE = 160, MOUTH = MOUTH_SIDE, SECOND = 16000 };

/* A clip of drawn faces (face), or of gray (no face), or of mouths (side MOUTH). */
static void write_clip(const char *path, int side, bool face, bool sound)
{
    static uint8_t rgb[SIDE * SIDE * 3];
    static float pcm[SECOND];
    struct error err = {0};
    struct writer *w;
    struct writer_options o = {.width = side, .height = side, .sample_rate = sound ? SECOND : 0};
    for (int i = 0; i < SECOND; i++)
        pcm[i] = 0.5f * sinf((float)i * 0.05f);
    assert_int_equal(writer_open(&w, path, &o, &err), 0);
    for (int k = 0; k < 25; k++) {
        memset(rgb, 100, sizeof rgb);
        if (face)
            draw_face(rgb, side, side, side / 2, side / 2, side * 0.55, k % 8 / 8.0);
        assert_int_equal(writer_picture(w, rgb, side * 3, &err), 0);
    }
    if (sound)
        assert_int_equal(writer_sound(w, pcm, SECOND, &err), 0);
    assert_int_equal(writer_close(w, &err), 0);
}

static int load(struct clip *clip, int side, bool face, bool sound, struct error *err)
{
    char path[256];
    write_clip(made_path(path, "clip.mp4"), side, face, sound);
    int rc = clip_load(clip, path, NULL, err);
    if (rc)
        assert_non_null(strstr(err->message, path));
    made_remove(path);
    return rc;
}

static void a_mouth_video(void **state)
{
    (void)state;
    struct error err = {0};
    struct clip clip;
    assert_int_equal(load(&clip, MOUTH, false, true, &err), 0);
    assert_true(clip.has_sound && clip.has_pictures && clip.has_face);
    assert_int_equal(clip.frames, 25);
    assert_in_range(clip.samples, SECOND, SECOND + 1100);
    assert_in_range(clip.mouth[24 * MOUTH_PIXELS + 4000], 98, 102); /* as it was */
    assert_true(clip.lips_move && clip.face == 1 && clip.faces == 1);
    clip_release(&clip);
}

static void a_face(void **state)
{
    (void)state;
    struct error err = {0};
    struct clip clip;
    int rc = load(&clip, SIDE, true, true, &err);
    if (rc == ERROR_IO) /* no landmark file on this machine */
        skip();
    assert_int_equal(rc, 0);
    assert_true(clip.has_sound && clip.has_pictures && clip.has_face);
    assert_true(clip.lips_move && clip.face == 1 && clip.faces == 1);
    assert_int_equal(clip.frames, 25);
    clip_release(&clip);
}

/* ---- faces put together by hand ---- */

enum { ALL = 60, CUT = 40 };

static struct faces_picture picture;

/* Face 1 in all pictures but 20..29, face 2 in all; behind the cut a third person alone. Crops hold
   the id; the lips of `speaker` move. */
static void collect(struct clip_faces *f, int speaker, int face)
{
    for (int k = 0; k < ALL; k++) {
        picture = (struct faces_picture){.index = k};
        for (int id = k < CUT ? 1 : 3; id <= (k < CUT ? 2 : 3); id++) {
            if (id == 1 && k >= 20 && k < 30)
                continue;
            struct faces_face *seen = &picture.faces[picture.count++];
            seen->id = id;
            seen->number = k < CUT ? id : 1;
            seen->shot = k >= CUT;
            seen->mouth.source = MOUTH_MEASURED;
            memset(seen->mouth.crop, id, MOUTH_PIXELS);
            for (int i = 42; i < 48; i++) /* one eye a pixel beside the other; then the chin */
                seen->mouth.landmarks[i][0] = 1;
            seen->mouth.landmarks[8][1] = id == speaker ? 1 + 0.3f * (float)(k % 4 / 2) : 1;
        }
        assert_true(clip_faces_add(f, &picture, face));
    }
}

/* runs: "IDxPICTURES ..." */
static void expect_ids(const struct clip *clip, const char *runs)
{
    int k = 0, id, count, used;
    for (; sscanf(runs, "%dx%d%n", &id, &count, &used) == 2; runs += used)
        for (int i = 0; i < count; i++, k++)
            assert_int_equal(clip->mouth[k * MOUTH_PIXELS + 5000], id);
    assert_int_equal(k, clip->frames);
}

static void which_face(void **state)
{
    (void)state;
    const struct {
        int speaker, face;
        const char *ids;
        int got;
        bool moves;
    } cases[] = {{2, 0, "2x40 3x20", 2, true},
                 {1, 0, "1x20 0x10 1x10 3x20", 1, true},
                 {0, 0, "2x40 3x20", 2, false}, /* nobody: who is seen most */
                 {2, 1, "1x20 0x10 1x10 3x20", 1, false},
                 {1, 2, "2x40 0x20", 2, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct clip_faces f = {0};
        struct clip clip = {0};
        collect(&f, cases[i].speaker, cases[i].face);
        assert_int_equal(f.numbers, 2);
        assert_int_equal(f.found, cases[i].face == 1 ? ALL - 10 : cases[i].face ? CUT : ALL);
        assert_true(clip_faces_choose(&f, &clip, 0, f.pictures) > 0);
        assert_int_equal(clip.faces, 2);
        assert_int_equal(clip.face, cases[i].got);
        assert_int_equal(clip.lips_move, cases[i].moves);
        expect_ids(&clip, cases[i].ids);
        clip_release(&clip);
        clip_faces_release(&f);
    }
}

static void a_face_that_is_not_there(void **state)
{
    (void)state;
    const struct clip_options second = {.face = 2};
    struct error err = {0};
    struct clip clip;
    char path[256];
    write_clip(made_path(path, "clip.mp4"), SIDE, true, true);
    int rc = clip_load(&clip, path, &second, &err);
    made_remove(path);
    if (rc == ERROR_IO)
        skip();
    assert_int_equal(rc, ERROR_NO_FACE);
    assert_non_null(strstr(err.message, "no face 2"));
    assert_null(clip.mouth);
    assert_null(clip.pcm);
}

static void no_face(void **state)
{
    (void)state;
    struct error err = {0};
    struct clip clip;
    assert_int_equal(load(&clip, SIDE, false, true, &err), 0); /* the sound is there */
    assert_true(clip.has_sound && clip.has_pictures && !clip.has_face);
    assert_null(clip.mouth);
    assert_int_equal(clip.frames, 0);
    clip_release(&clip);
    assert_int_equal(load(&clip, SIDE, false, false, &err), ERROR_NO_FACE);
    assert_null(clip.pcm);
}

static void streams_left_out(void **state)
{
    (void)state;
    const struct clip_options ear = {.no_pictures = true}, eye = {.no_sound = true};
    struct error err = {0};
    struct clip clip;
    char path[256];
    write_clip(made_path(path, "clip.mp4"), MOUTH, false, true);
    assert_int_equal(clip_load(&clip, path, &ear, &err), 0);
    assert_true(clip.has_sound && !clip.has_pictures && !clip.has_face && !clip.mouth);
    clip_release(&clip);
    assert_int_equal(clip_load(&clip, path, &eye, &err), 0);
    assert_true(!clip.has_sound && clip.has_pictures && clip.has_face && !clip.pcm);
    clip_release(&clip);
    made_remove(path);
}

static void debug_video(void **state)
{
    (void)state;
    struct error err = {0};
    struct clip clip;
    char path[256], debug[256];
    write_clip(made_path(path, "clip.mp4"), SIDE, true, true);
    const struct clip_options o = {.debug_mouth = made_path(debug, "debug.mp4")};
    int rc = clip_load(&clip, path, &o, &err);
    if (rc == 0) {
        struct seen seen = made_read(debug, NULL);
        assert_int_equal(seen.code, 0);
        assert_int_equal(seen.pictures, 25);
        assert_true(seen.samples >= SECOND);
        clip_release(&clip);
    }
    made_remove(debug);
    made_remove(path);
    if (rc == ERROR_IO)
        skip();
    if (rc)
        fail_msg("%s", err.message);
}

/* ---- the cache ---- */

static bool same(const struct clip *a, const struct clip *b)
{
    return a->samples == b->samples && a->frames == b->frames && a->has_face == b->has_face &&
           memcmp(a->pcm, b->pcm, (size_t)a->samples * sizeof *a->pcm) == 0 &&
           memcmp(a->mouth, b->mouth, (size_t)a->frames * MOUTH_PIXELS) == 0;
}

/* The one file in the folder. */
static void only_file(char path[600], const char *folder)
{
    struct dirent *entry;
    int count = 0;
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    while ((entry = readdir(dir))) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, 600, "%s/%s", folder, entry->d_name);
        count++;
    }
    closedir(dir);
    assert_int_equal(count, 1);
}

static void cached(void **state)
{
    (void)state;
    struct error err = {0};
    struct clip direct, first, second;
    char path[256], folder[300], file[600];
    write_clip(made_path(path, "clip.mp4"), MOUTH, false, true);
    snprintf(folder, sizeof folder, "%s.cache", path);
    assert_int_equal(clip_load(&direct, path, NULL, &err), 0);
    assert_int_equal(clip_cache_load(&first, folder, path, NULL, &err), 0);
    only_file(file, folder);
    struct stat before, after;
    assert_int_equal(stat(file, &before), 0);
    assert_int_equal(clip_cache_load(&second, folder, path, NULL, &err), 0);
    assert_int_equal(stat(file, &after), 0);
    assert_true(before.st_ino == after.st_ino); /* read, not written again */
    assert_true(same(&direct, &first) && same(&direct, &second));
    clip_release(&second);

    assert_int_equal(truncate(file, 5000), 0); /* damaged: made anew */
    assert_int_equal(clip_cache_load(&second, folder, path, NULL, &err), 0);
    assert_true(same(&direct, &second));
    clip_release(&second);

    write_clip(path, MOUTH, true, true); /* the source changed: the old one is not taken */
    assert_int_equal(clip_cache_load(&second, folder, path, NULL, &err), 0);
    assert_false(same(&direct, &second));
    only_file(file, folder);
    unlink(file);
    rmdir(folder);
    clip_release(&direct);
    clip_release(&first);
    clip_release(&second);
    made_remove(path);
}

/* Every cut and every flipped bit of a small cache file is noticed. */
static void damaged_cache(void **state)
{
    (void)state;
    float pcm[5] = {0, 0.5f, -0.5f, 1, -1};
    const struct clip clip = {.pcm = pcm, .samples = 5, .has_sound = true};
    struct clip back;
    struct error err = {0};
    char path[256], *bytes;
    size_t size;
    uint64_t key = 0;
    made_path(path, "x.clip");
    assert_int_equal(clip_cache_write(&clip, 77, path, &err), 0);
    assert_int_equal(file_read(&bytes, &size, path, 1 << 20, &err), 0);
    made_remove(path);
    assert_int_equal(clip_cache_decode(&back, &key, bytes, size, path, &err), 0);
    assert_int_equal(key, 77);
    assert_memory_equal(back.pcm, pcm, sizeof pcm);
    clip_release(&back);
    for (size_t cut = 0; cut < size; cut++)
        assert_int_equal(clip_cache_decode(&back, &key, bytes, cut, path, &err), ERROR_FORMAT);
    for (size_t bit = 0; bit < 8 * size; bit++) {
        if (bit / 64 == 2) /* the key itself: any is accepted here, the loader compares it */
            continue;
        bytes[bit / 8] ^= (char)(1 << bit % 8);
        int rc = clip_cache_decode(&back, &key, bytes, size, path, &err);
        bytes[bit / 8] ^= (char)(1 << bit % 8);
        if (rc == 0) /* only has_pictures is free: pictures without a face are fine */
            assert_int_equal(bit, 8 * 12 + 1);
        clip_release(&back);
    }
    memory_free(bytes);
}

static void cache_errors(void **state)
{
    (void)state;
    struct error err = {0};
    struct clip clip;
    assert_int_equal(clip_cache_load(&clip, "/nowhere/cache", "/nowhere/a.mp4", NULL, &err),
                     ERROR_IO);
    assert_non_null(strstr(err.message, "/nowhere/a.mp4"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mouth_video), cmocka_unit_test(a_face),
        cmocka_unit_test(which_face),    cmocka_unit_test(a_face_that_is_not_there),
        cmocka_unit_test(no_face),       cmocka_unit_test(streams_left_out),
        cmocka_unit_test(debug_video),   cmocka_unit_test(cached),
        cmocka_unit_test(damaged_cache), cmocka_unit_test(cache_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
