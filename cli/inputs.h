/* The media that a command is to read: files as they are named, and what is in folders. */
#ifndef CLI_INPUTS_H
#define CLI_INPUTS_H

#include "base/error.h"

#include <stdint.h>

struct input {
    char *path; /* owned */
    char *name; /* below the folder that was named, or the path's last part; owned */
};

struct inputs {
    struct input *list; /* [count]; owned */
    int count;
    int64_t room;
    int failures; /* folders that hold no media or cannot be read */
};

/* A file is taken whatever it is called. A folder stands for the media files (by their endings) in
   it and in its folders, those whose names begin with a point left out, in the order of their
   names; links are followed, but not in circles. A folder that holds none or cannot be read is told
   of on stderr and counted. */
int inputs_add(struct inputs *in, const char *path, struct error *err);
void inputs_release(struct inputs *in); /* also fine on a zeroed struct */

#endif
