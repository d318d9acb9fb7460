/* Sound and pictures stay together, whatever the rates and starting times. Clips are made by the
   project's own writer; kinds that it cannot make by the program ffmpeg, skipped without it. */
#include "made_clip.h"

#include <fcntl.h>
#include <sys/wait.h>

#define SYNC 0.0401 /* seconds: flash and beep may drift by one picture of the grid */

static struct made usual(void)
{
    return (struct made){
        .picture_seconds = 2,
        .sound_seconds = 2,
        .flash_at = 1,
        .beep_at = 1,
        .options = {.width = MADE_WIDTH, .height = MADE_HEIGHT, .sample_rate = 16000},
    };
}

static struct seen write_and_read(const struct made *made)
{
    char path[256];
    made_write(made_path(path, "clip.mp4"), made);
    struct seen seen = made_read(path, NULL);
    made_remove(path);
    assert_int_equal(seen.code, 0);
    assert_true(seen.contiguous);
    return seen;
}

static void check_times(const struct seen *seen, double flash, double beep)
{
    assert_float_equal(seen->flash_at, flash, 0.021);
    assert_float_equal(seen->beep_at, beep, 0.021);
}

static void plain(void **state)
{
    (void)state;
    struct made made = usual();
    struct seen seen = write_and_read(&made);
    check_times(&seen, 1, 1);
    assert_int_equal(seen.pictures, 50);
    assert_in_range(seen.samples, 32000, 33024); /* AAC fills its last packet */
    assert_int_equal(seen.width, MADE_WIDTH);
    assert_int_equal(seen.height, MADE_HEIGHT);
    assert_true(seen.peak > 0.7 && seen.peak <= 1);
}

static void late_sound(void **state)
{
    (void)state;
    struct made made = usual();
    made.options.sound_delay_s = 0.48;
    made.beep_at = 0.52; /* 1.0 on the common clock */
    struct seen seen = write_and_read(&made);
    check_times(&seen, 1, 1);
    assert_in_range(seen.samples, (2.48 - 0.03) * 16000, (2.48 + 0.1) * 16000);
}

static void late_pictures(void **state)
{
    (void)state;
    struct made made = usual();
    made.options.sound_delay_s = -0.48;
    made.flash_at = 0.52;
    struct seen seen = write_and_read(&made);
    check_times(&seen, 1, 1);
    assert_int_equal(seen.pictures, 62); /* 12 repeats of the first */
}

static void other_picture_rates(void **state)
{
    (void)state;
    const int rates[][2] = {{24, 1}, {24000, 1001}, {30, 1}, {30000, 1001},
                            {50, 1}, {60, 1},       {12, 1}};
    for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
        struct made made = usual();
        made.options.fps_num = rates[i][0];
        made.options.fps_den = rates[i][1];
        struct seen seen = write_and_read(&made);
        double period = (double)rates[i][1] / rates[i][0];
        assert_float_equal(seen.flash_at, 1, 0.5 * period + 0.021);
        assert_float_equal(seen.beep_at, 1, 0.01);
        assert_in_range(seen.pictures, 49, 51);
    }
}

static void other_sound_rates(void **state)
{
    (void)state;
    const int rates[] = {8000, 22050, 44100, 48000};
    for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
        struct made made = usual();
        made.options.sample_rate = rates[i];
        struct seen seen = write_and_read(&made);
        check_times(&seen, 1, 1);
        assert_in_range(seen.samples, 31900, 34500);
    }
}

/* As media/live does with a camera that begins before its microphone. */
static void another_zero(void **state)
{
    (void)state;
    struct made made = usual();
    struct media *m;
    struct media_chunk chunk;
    struct error err;
    char path[256];
    int64_t samples = 0, pictures = 0;
    made_write(made_path(path, "clip.mp4"), &made);
    assert_int_equal(media_open(&m, path, NULL, &err), 0);
    media_set_zero(m, media_zero(m) - 480000);
    while (media_read(m, &chunk, &err) == 1) {
        if (chunk.kind == MEDIA_PICTURE)
            pictures++;
        else
            samples += chunk.count;
    }
    media_close(m);
    made_remove(path);
    assert_int_equal(pictures, 62); /* 12 repeats of the first */
    assert_in_range(samples, 2.48 * 16000 - 16, 2.48 * 16000 + 1040);
}

static void streams_of_differing_length(void **state)
{
    (void)state;
    struct made made = usual();
    made.picture_seconds = 3;
    struct seen seen = write_and_read(&made);
    assert_int_equal(seen.pictures, 75);
    assert_in_range(seen.samples, 32000, 33024);
    made = usual();
    made.sound_seconds = 3;
    seen = write_and_read(&made);
    assert_int_equal(seen.pictures, 50);
    assert_in_range(seen.samples, 48000, 49024);
}

static void one_stream_only(void **state)
{
    (void)state;
    struct made made = usual();
    made.options.sample_rate = 0;
    struct seen seen = write_and_read(&made);
    assert_int_equal(seen.samples, 0);
    assert_int_equal(seen.pictures, 50);
    made = usual();
    made.options.width = made.options.height = 0;
    seen = write_and_read(&made);
    assert_int_equal(seen.pictures, 0);
    assert_in_range(seen.samples, 32000, 33024);
}

/* The clock does not move when a stream is left out. */
static void leaving_a_stream_out(void **state)
{
    (void)state;
    const struct media_options no_pictures = {.no_pictures = true}, no_sound = {.no_sound = true};
    char path[256];
    struct made made = usual();
    made.options.sound_delay_s = 0.48;
    made.beep_at = 0.52;
    made_write(made_path(path, "clip.mp4"), &made);
    struct seen sound = made_read(path, &no_pictures);
    struct seen pictures = made_read(path, &no_sound);
    made_remove(path);
    assert_int_equal(sound.pictures, 0);
    assert_int_equal(pictures.samples, 0);
    assert_float_equal(sound.beep_at, 1, 0.01);
    assert_float_equal(pictures.flash_at, 1, 0.01);
}

static void max_seconds(void **state)
{
    (void)state;
    const struct media_options options = {.max_seconds = 0.5};
    char path[256];
    struct made made = usual();
    made_write(made_path(path, "clip.mp4"), &made);
    struct seen seen = made_read(path, &options);
    made_remove(path);
    assert_int_equal(seen.code, 0);
    assert_int_equal(seen.samples, 8000);
    assert_int_equal(seen.pictures, 12);
}

/* The gray bar of the written picture's top must be where a player would show it. */
static void rotation(void **state)
{
    (void)state;
    for (int degrees = 0; degrees < 360; degrees += 90) {
        struct made made = usual();
        struct error err = {0};
        struct media *m;
        struct media_chunk c;
        char path[256];
        made.options.rotation = degrees;
        made.options.sample_rate = 0;
        made_write(made_path(path, "clip.mp4"), &made);
        assert_int_equal(media_open(&m, path, NULL, &err), 0);
        assert_int_equal(media_read(m, &c, &err), 1);
        bool sideways = degrees % 180 != 0;
        assert_int_equal(c.width, sideways ? MADE_HEIGHT : MADE_WIDTH);
        assert_int_equal(c.height, sideways ? MADE_WIDTH : MADE_HEIGHT);
        int x = degrees == 90 ? c.width - 2 : degrees == 270 ? 1 : c.width / 2;
        int y = degrees == 0 ? 1 : degrees == 180 ? c.height - 2 : c.height / 2;
        int bar = c.rgb[y * c.stride + 3 * x];
        int opposite = c.rgb[(c.height - 1 - y) * c.stride + 3 * (c.width - 1 - x)];
        assert_true(bar > 90 && bar < 150);
        assert_true(opposite < 40);
        media_close(m);
        made_remove(path);
    }
}

static void standard_input(void **state)
{
    (void)state;
    char path[256];
    struct made made = usual();
    made_write(made_path(path, "clip.mp4"), &made); /* its index is at the end */
    int ends[2], kept = dup(STDIN_FILENO);
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        char bytes[4096];
        int fd = open(path, O_RDONLY);
        ssize_t n;
        while ((n = read(fd, bytes, sizeof bytes)) > 0)
            if (write(ends[1], bytes, (size_t)n) < 0)
                break;
        _exit(0);
    }
    close(ends[1]);
    dup2(ends[0], STDIN_FILENO);
    close(ends[0]);
    struct seen seen = made_read("-", NULL);
    dup2(kept, STDIN_FILENO);
    close(kept);
    waitpid(child, NULL, 0);
    made_remove(path);
    assert_int_equal(seen.code, 0);
    assert_int_equal(seen.pictures, 50);
    check_times(&seen, 1, 1);
}

/* ---- kinds that only the program ffmpeg makes ---- */

struct exotic {
    const char *name, *arguments; /* of ffmpeg, after its input */
    bool sound, pictures;
};

static const struct exotic exotics[] = {
    {"a.mkv", "-c copy", true, true},
    {"b.webm", "-c:v libvpx -b:v 300k -c:a libopus", true, true},
    {"c.mov", "-c copy", true, true},
    {"d.mpg", "-s 352x288 -ar 44100", true, true},
    {"e.avi", "-ar 44100", true, true},
    {"f.ts", "", true, true},
    {"g.flv", "-ar 44100", true, true},
    {"h.mp4", "-movflags +frag_keyframe+empty_moov", true, true},
    {"i.mp4", "-ac 6 -ar 48000", true, true},
    {"j.mp4", "-vf select=not(mod(n\\,3))+between(n\\,24\\,26) -vsync vfr", true, true},
    {"k.mkv", "-c:v ffv1 -pix_fmt gray", true, true},
    {"l.mp3", "-vn", true, false},
    {"m.opus", "-vn", true, false},
    {"n.flac", "-vn -ac 2", true, false},
    {"o.ogg", "-vn", true, false},
    {"p.wav", "-vn -ac 6 -ar 48000 -c:a pcm_f32le", true, false},
    {"q.mp4", "-an -vf scale=128:64,setsar=3/4", false, true},
};

/* Whether ffmpeg could make it. */
static bool convert(const char *from, const char *to, const char *arguments)
{
    char command[1024];
    snprintf(command, sizeof command, "ffmpeg -nostdin -v quiet -y -i '%s' $ARGS '%s'", from, to);
    setenv("ARGS", arguments, 1);
    return system(command) == 0;
}

static void exotic_kinds(void **state)
{
    (void)state;
    char path[256], other[300];
    struct made made = usual();
    made_write(made_path(path, "clip.mp4"), &made);
    int tried = 0;
    for (size_t i = 0; i < sizeof exotics / sizeof *exotics; i++) {
        const struct exotic *e = &exotics[i];
        snprintf(other, sizeof other, "%.*s%s", (int)(strrchr(path, '/') + 1 - path), path,
                 e->name);
        bool made_it = convert(path, other, e->arguments);
        struct seen seen = made_it ? made_read(other, NULL) : (struct seen){0};
        unlink(other);
        if (!made_it)
            continue;
        tried++;
        bool together = !e->sound || !e->pictures || fabs(seen.flash_at - seen.beep_at) < SYNC;
        bool there = (seen.beep_at > 0) == e->sound && (seen.flash_at > 0) == e->pictures;
        if (seen.code || !seen.contiguous || !there || !together)
            fail_msg("%s: code %d %s, flash %.3f, beep %.3f, contiguous %d", e->name, seen.code,
                     seen.err.message, seen.flash_at, seen.beep_at, seen.contiguous);
    }
    made_remove(path);
    if (tried == 0)
        skip();
    print_message("%d of %zu kinds made by ffmpeg\n", tried, sizeof exotics / sizeof *exotics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain),
        cmocka_unit_test(late_sound),
        cmocka_unit_test(late_pictures),
        cmocka_unit_test(other_picture_rates),
        cmocka_unit_test(other_sound_rates),
        cmocka_unit_test(another_zero),
        cmocka_unit_test(streams_of_differing_length),
        cmocka_unit_test(one_stream_only),
        cmocka_unit_test(leaving_a_stream_out),
        cmocka_unit_test(max_seconds),
        cmocka_unit_test(rotation),
        cmocka_unit_test(standard_input),
        cmocka_unit_test(exotic_kinds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
