/* Cameras and microphones, told from folders that look like dev/ and proc/. A real camera is not
   needed; what a file in its place is said to be is. */
#include "media/capture_devices.h"
#include "temporary_folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

static char folder[TEMPORARY_FOLDER];

static int setup(void **state)
{
    (void)state;
    return temporary_folder_make(folder);
}

static int teardown(void **state)
{
    (void)state;
    return temporary_folder_remove(folder);
}

static void make_folder(const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(mkdir(path, 0700), 0);
}

static void put(const char *name, const char *text)
{
    assert_int_equal(temporary_folder_put(folder, name, text), 0);
}

static void test_none(void **state)
{
    (void)state;
    struct capture_device devices[4];
    assert_int_equal(capture_cameras(devices, 4, folder), 0);
    assert_int_equal(capture_microphones(devices, 4, folder), 0);
}

static void test_no_camera_is_behind_it(void **state)
{
    (void)state;
    struct capture_device devices[4];
    make_folder("dev");
    put("dev/video0", "a file");
    assert_int_equal(capture_cameras(devices, 4, folder), 0);
    make_folder("dev/video1"); /* can't be opened for writing: told, it may be a camera */
    assert_int_equal(capture_cameras(devices, 4, folder), 1);
    assert_string_equal(devices[0].path, "/dev/video1");
    assert_int_equal(devices[0].refused, EISDIR);
    assert_int_equal(capture_cameras(devices, 0, folder), 0);
}

static void test_microphones(void **state)
{
    (void)state;
    struct capture_device devices[4];
    make_folder("proc");
    make_folder("proc/asound");
    make_folder("dev");
    make_folder("dev/snd");
    put("dev/snd/pcmC0D0c", "");
    put("proc/asound/pcm", "00-00: ALC257 Analog : ALC257 Analog : playback 1 : capture 1\n"
                           "00-03: HDMI 0 : HDMI 0 : playback 1\n"
                           "nonsense\n"
                           ": capture \n"
                           "01-00: USB\033[31m : USB : capture 1\n");
    assert_int_equal(capture_microphones(devices, 4, folder), 2);
    assert_string_equal(devices[0].path, "hw:0,0");
    assert_string_equal(devices[0].name, "ALC257 Analog");
    assert_int_equal(devices[0].refused, 0);
    assert_string_equal(devices[1].path, "hw:1,0");
    assert_string_equal(devices[1].name, "USB?[31m");
    assert_int_equal(devices[1].refused, ENOENT);
    assert_int_equal(capture_microphones(devices, 1, folder), 1);
}

static void test_sound_server(void **state)
{
    (void)state;
    struct capture_device device;
    setenv("XDG_RUNTIME_DIR", folder, 1);
    assert_false(capture_sound_server(&device));
    make_folder("pulse");
    put("pulse/native", "");
    assert_true(capture_sound_server(&device));
    assert_string_equal(device.name, "PulseAudio");
    assert_int_equal(device.refused, 0);
    unsetenv("XDG_RUNTIME_DIR");
    assert_false(capture_sound_server(&device));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_none),
        TEST(test_no_camera_is_behind_it),
        TEST(test_microphones),
        TEST(test_sound_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
