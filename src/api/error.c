/* The last error of each thread, which mome_error shows: the one thing here that is not in a
 * handle. */
#include "api/api.h"

#include <string.h>

static _Thread_local char message[sizeof((struct error *)0)->message];

const char *mome_error(void)
{
    return message;
}

int api_failed(const struct error *err)
{
    memcpy(message, err->message, sizeof message);
    return err->code;
}

#define TEXT(x) #x
#define VERSION(major, minor, patch) TEXT(major) "." TEXT(minor) "." TEXT(patch)

const char *mome_version(void)
{
    return VERSION(MOME_VERSION_MAJOR, MOME_VERSION_MINOR, MOME_VERSION_PATCH);
}
