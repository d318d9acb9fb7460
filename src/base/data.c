#include "base/data.h"
#include "base/file.h"
#include "base/memory.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* From the program's folder; CMakeLists.txt says where the first is. */
static const char *const places[] = {MOME_DATA, "../.."};

char *data_find_beside(const char *program, const char *name)
{
    char *folder = memory_strdup(program), *slash = folder ? strrchr(folder, '/') : NULL;
    char *found = NULL;
    if (slash)
        *slash = 0;
    for (size_t i = 0; slash && !found && i < sizeof places / sizeof places[0]; i++) {
        char *place = file_join(folder, places[i]), *path = place ? file_join(place, name) : NULL;
        char *real = path ? realpath(path, NULL) : NULL; /* without the .. */
        found = real ? memory_strdup(real) : NULL;
        free(real);
        memory_free(path);
        memory_free(place);
    }
    memory_free(folder);
    return found;
}

char *data_find(const char *name)
{
    char program[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
    if (n <= 0)
        return NULL;
    program[n] = 0;
    return data_find_beside(program, name);
}

char *data_default_model(void)
{
    const char *model = getenv("MOME_MODEL");
    return model && model[0] ? memory_strdup(model) : data_find("models/tiny");
}
