#include "media/device.h"

#include <dlfcn.h>
#include <string.h>

#include <libavdevice/version.h>
#include <libavutil/avstring.h>

#define LIBRARY "libavdevice.so." AV_STRINGIFY(LIBAVDEVICE_VERSION_MAJOR)

/* What is asked of them: pictures of a size that a face is found in at once, and sound in small
   pieces. A driver takes the nearest that it has. */
static const struct {
    const char *kind, *name, *value;
} wanted[] = {
    {"v4l2", "video_size", "640x480"},
    {"v4l2", "framerate", "30"},
    {"v4l2", "timestamps", "abs"},
    {"pulse", "fragment_size", "3840"}, /* 20 ms of 48 kHz, two channels of 16 bits */
};

/* Makes the devices known to FFmpeg; never unloaded, as FFmpeg keeps what it was told. */
static int load(struct error *err)
{
    void (*register_all)(void) = NULL;
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (library)
        *(void **)&register_all = dlsym(library, "avdevice_register_all");
    if (!register_all)
        return error_set(err, ERROR_UNSUPPORTED,
                         "cameras and microphones need %s (apt install libavdevice%d): %.200s",
                         LIBRARY, LIBAVDEVICE_VERSION_MAJOR, dlerror());
    register_all();
    return 0;
}

static int refused(int code, const char *kind, const char *name, struct error *err)
{
    char text[AV_ERROR_MAX_STRING_SIZE] = "";
    av_strerror(code, text, sizeof text);
    return error_set(err, ERROR_IO,
                     "%s: the %s cannot be opened: %s; mome doctor lists what is there", name,
                     strcmp(kind, "v4l2") ? "microphone" : "camera", text);
}

int device_open(AVFormatContext **format, const char *kind, const char *name, struct error *err)
{
    AVDictionary *options = NULL;
    int rc = load(err);
    if (rc)
        return rc;
    const AVInputFormat *input = av_find_input_format(kind);
    if (!input)
        return error_set(err, ERROR_UNSUPPORTED, "%s: FFmpeg here has no devices of kind %s", name,
                         kind);
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++)
        if (!strcmp(kind, wanted[i].kind))
            av_dict_set(&options, wanted[i].name, wanted[i].value, 0);
    (*format)->flags |= AVFMT_FLAG_NONBLOCK;
    rc = avformat_open_input(format, name, input, &options);
    av_dict_free(&options);
    return rc < 0 ? refused(rc, kind, name, err) : 0;
}
