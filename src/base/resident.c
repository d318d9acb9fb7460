#include "base/resident.h"

#include <stdio.h>
#include <sys/resource.h>

/* "NAME   123 kB" of /proc/self/status. */
static int64_t status_bytes(const char *pattern)
{
    FILE *file = fopen("/proc/self/status", "re");
    char line[256];
    long long kib = 0;
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, pattern, &kib) == 1)
            break;
    if (file)
        fclose(file);
    return kib * 1024;
}

int64_t resident_bytes(void)
{
    return status_bytes("VmRSS: %lld kB");
}

int64_t resident_peak_bytes(void)
{
    int64_t bytes = status_bytes("VmHWM: %lld kB");
    struct rusage usage;
    if (!bytes && getrusage(RUSAGE_SELF, &usage) == 0)
        bytes = (int64_t)usage.ru_maxrss * 1024;
    return bytes;
}

void resident_peak_reset(void)
{
    FILE *file = fopen("/proc/self/clear_refs", "we");
    if (!file)
        return;
    fputs("5", file); /* the peak (proc(5)) */
    fclose(file);
}
