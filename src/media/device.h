/*
 * Cameras and microphones through FFmpeg's input devices: v4l2, alsa, pulse.
 *
 * libavdevice is loaded when the first device is opened: it brings 70 libraries along (SDL, OpenGL,
 * JACK), which neither a program that reads files nor a machine without a screen should need.
 */
#ifndef MEDIA_DEVICE_H
#define MEDIA_DEVICE_H

#include "base/error.h"

#include <libavformat/avformat.h>

/* Opens a device of a kind ("v4l2", "alsa", "pulse") by the name that the kind has for it, so that
   av_read_frame returns AVERROR(EAGAIN) where nothing has come yet (v4l2, alsa). Its time stamps
   are of the Unix epoch. *format was allocated, and is freed and NULL after a failure. */
int device_open(AVFormatContext **format, const char *kind, const char *name, struct error *err);

#endif
