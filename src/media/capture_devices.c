#include "media/capture_devices.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { MOST_NODES = 64, LINE = 512, PATH = 512 };

/* A device's own text: what is not printable ASCII becomes a question mark. */
static void set_name(struct capture_device *d, const char *text)
{
    snprintf(d->name, sizeof d->name, "%s", text);
    for (char *c = d->name; *c; c++)
        if (*c < ' ' || *c > '~')
            *c = '?';
}

/* Whether it is a camera, or may be one: a camera has other nodes beside, for metadata. */
static bool ask_camera(struct capture_device *d, const char *path)
{
    struct v4l2_capability can = {0};
    int fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    d->refused = fd < 0 ? errno : 0;
    if (fd < 0)
        return d->refused != ENOENT && d->refused != ENODEV && d->refused != ENXIO;
    int rc = ioctl(fd, VIDIOC_QUERYCAP, &can);
    close(fd);
    can.card[sizeof can.card - 1] = 0;
    set_name(d, (const char *)can.card);
    unsigned flags = can.capabilities & V4L2_CAP_DEVICE_CAPS ? can.device_caps : can.capabilities;
    return rc == 0 && flags & (V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_VIDEO_CAPTURE_MPLANE);
}

int capture_cameras(struct capture_device *devices, int max, const char *root)
{
    int count = 0;
    for (int i = 0; i < MOST_NODES && count < max; i++) {
        struct capture_device *d = &devices[count];
        char path[PATH];
        *d = (struct capture_device){0};
        snprintf(d->path, sizeof d->path, "/dev/video%d", i);
        snprintf(path, sizeof path, "%s%s", root, d->path);
        count += ask_camera(d, path);
    }
    return count;
}

/* A line of ALSA's: "00-03: HDMI 0 : HDMI 0 : playback 1 : capture 1". */
static bool read_microphone(struct capture_device *d, char *line, const char *root)
{
    int card, number;
    char path[PATH], *name = strchr(line, ':');
    if (!name || !strstr(line, ": capture ") || sscanf(line, "%d-%d:", &card, &number) != 2)
        return false;
    *d = (struct capture_device){0};
    snprintf(d->path, sizeof d->path, "hw:%d,%d", card, number);
    name += strspn(name, ": ");
    name[strcspn(name, ":\n")] = 0;
    for (size_t n = strlen(name); n && name[n - 1] == ' '; n--)
        name[n - 1] = 0;
    set_name(d, name);
    snprintf(path, sizeof path, "%s/dev/snd/pcmC%dD%dc", root, card, number);
    d->refused = access(path, R_OK) ? errno : 0;
    return true;
}

int capture_microphones(struct capture_device *devices, int max, const char *root)
{
    char line[LINE], path[PATH];
    int count = 0;
    snprintf(path, sizeof path, "%s/proc/asound/pcm", root);
    FILE *file = fopen(path, "re");
    while (file && count < max && fgets(line, sizeof line, file))
        count += read_microphone(&devices[count], line, root);
    if (file)
        fclose(file);
    return count;
}

bool capture_sound_server(struct capture_device *device)
{
    static const char *const sockets[] = {"pulse/native", "pipewire-0"};
    static const char *const names[] = {"PulseAudio", "PipeWire"};
    const char *folder = getenv("XDG_RUNTIME_DIR");
    for (size_t i = 0; folder && i < sizeof sockets / sizeof sockets[0]; i++) {
        *device = (struct capture_device){0};
        int n = snprintf(device->path, sizeof device->path, "%s/%s", folder, sockets[i]);
        if (n < 0 || n >= (int)sizeof device->path || access(device->path, F_OK) != 0)
            continue;
        set_name(device, names[i]);
        device->refused = access(device->path, R_OK | W_OK) ? errno : 0;
        return true;
    }
    return false;
}
