/* Structures of options, as large as they were when the caller was compiled. */
#include "api/api.h"

#include <string.h>

enum { MOST_BYTES = 4096 }; /* of a structure, ever */

void api_options_init(void *o, size_t size, const void *defaults, size_t known)
{
    memset(o, 0, size);
    memcpy(o, defaults, size < known ? size : known);
}

int api_options_take(void *all, size_t known, const void *o, const char *name, struct error *err)
{
    size_t size;
    if (!o)
        return 0;
    memcpy(&size, o, sizeof size);
    if (size < sizeof size || size > MOST_BYTES)
        return error_set(err, ERROR_USAGE, "%s: call %s_init first", name, name);
    memcpy(all, o, size < known ? size : known);
    return 0;
}
