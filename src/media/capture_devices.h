/*
 * Cameras and microphones of this machine, by what Linux says of them: Video4Linux's capabilities,
 * ALSA's list of PCM devices, the socket of a sound server. Nothing is recorded.
 */
#ifndef MEDIA_CAPTURE_DEVICES_H
#define MEDIA_CAPTURE_DEVICES_H

#include <stdbool.h>

struct capture_device {
    char path[64]; /* /dev/video0, hw:0,0, or the socket */
    char name[64]; /* as it calls itself, printable; "" where it can't be asked */
    int refused;   /* errno of opening it; 0: it may be used */
};

/* The number of devices written, at most max. root: "" for this machine; else a folder to read dev/
   and proc/ from, for tests. */
int capture_cameras(struct capture_device *devices, int max, const char *root);
int capture_microphones(struct capture_device *devices, int max, const char *root);
/* PulseAudio's or PipeWire's socket; false: none. */
bool capture_sound_server(struct capture_device *device);

#endif
