/*
 * How fallible code reports: every function that touches files, users or the network returns 0 or a
 * negative `enum error_code`, and has written one line for a person into the `struct error` that
 * its caller passed (never NULL). The message names the file, what was expected and what was found.
 * The first fault wins: the place that finds it calls error_set, everyone above only returns the
 * code.
 */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

enum error_code {
    ERROR_USAGE = -1,  /* the caller asked for something that cannot be (bad option, bad rate) */
    ERROR_IO = -2,     /* the system refused: missing file, full disk, closed pipe */
    ERROR_FORMAT = -3, /* the bytes are not what they should be */
    ERROR_LIMIT = -4,  /* larger than we accept */
    ERROR_MEMORY = -5, /* out of memory */
    ERROR_UNSUPPORTED = -6, /* valid, but not something this build can do */
    ERROR_NO_STREAM = -7,   /* media without the stream that the task needs */
    ERROR_NO_FACE = -8,     /* pictures without a face */
    ERROR_CANCELLED = -9,   /* the caller's call-back, or its flag, said stop */
};

struct error {
    int code; /* 0, or the enum error_code of the fault */
    char message[512];
};

/* Writes code and message, returns code: `return error_set(err, ERROR_IO, "%s: %s", ...)`. */
int error_set(struct error *err, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "prefix: " before the message that is there already; returns err->code. */
int error_prefix(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
