#include "base/machine.h"

#include <limits.h>
#include <math.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_THREADS = 4096, LINE = 512 };

/* Opens the file of that name, made as by printf, below root; NULL: there is none. */
__attribute__((format(printf, 2, 3))) static FILE *look_into(const char *root, const char *format,
                                                             ...)
{
    char name[PATH_MAX], path[2 * PATH_MAX];
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(name, sizeof name, format, arguments);
    va_end(arguments);
    if (n < 0 || n >= (int)sizeof name)
        return NULL;
    n = snprintf(path, sizeof path, "%s%s", root, name);
    return n > 0 && n < (int)sizeof path ? fopen(path, "re") : NULL;
}

/* The value behind "KEY ... : " or "KEY: ", without the line's end; false: no such line. */
static bool line_of(FILE *file, const char *key, char *value, size_t size)
{
    char line[LINE];
    while (fgets(line, sizeof line, file)) {
        char *colon = strchr(line, ':');
        if (!colon || strncmp(line, key, strlen(key)) != 0)
            continue;
        colon += strspn(colon, ": \t");
        colon[strcspn(colon, "\n")] = 0;
        snprintf(value, size, "%s", colon);
        return true;
    }
    return false;
}

/* ---- control groups ------------------------------------------------------------------------ */

/* The group of this process, "/a/b", by a controller of version 1 ("cpu") or, "", version 2. */
static bool group_of(char group[PATH_MAX], const char *root, const char *controller)
{
    char line[PATH_MAX + LINE];
    FILE *file = look_into(root, "/proc/self/cgroup");
    bool found = false;
    while (file && !found && fgets(line, sizeof line, file)) { /* 4:cpu,cpuacct:/a/b */
        char *names = strchr(line, ':'), *path = names ? strchr(names + 1, ':') : NULL, *rest;
        if (!path || path[1] != '/')
            continue;
        *path++ = 0;
        path[strcspn(path, "\n")] = 0;
        found = !*controller && !names[1];
        for (char *name = strtok_r(names + 1, ",", &rest); name && *controller && !found;
             name = strtok_r(NULL, ",", &rest))
            found = !strcmp(name, controller);
        if (found)
            snprintf(group, PATH_MAX, "%s", path);
    }
    if (file)
        fclose(file);
    return found;
}

/* The smallest of what `read` gives for the group and those above it, 0 where none has a limit. A
   container may see its own group as the topmost: its path then leads nowhere, and / is it. */
static double least(const char *root, const char *mount, char group[PATH_MAX],
                    double (*read)(const char *root, const char *folder))
{
    double smallest = 0;
    for (;;) {
        char folder[PATH_MAX + LINE];
        snprintf(folder, sizeof folder, "/sys/fs/cgroup%s%s", mount, group);
        double limit = read(root, folder);
        if (limit > 0 && (smallest == 0 || limit < smallest))
            smallest = limit;
        char *slash = strrchr(group, '/');
        if (!slash || !group[0])
            return smallest;
        *slash = 0;
    }
}

static double read_number(const char *root, const char *folder, const char *name)
{
    double number = 0;
    FILE *file = look_into(root, "%s/%s", folder, name);
    if (file && fscanf(file, "%lf", &number) != 1) /* "max": no limit */
        number = 0;
    if (file)
        fclose(file);
    return isfinite(number) ? number : 0;
}

static double quota_v2(const char *root, const char *folder)
{
    double quota = 0, period = 0;
    FILE *file = look_into(root, "%s/cpu.max", folder);
    if (file && fscanf(file, "%lf %lf", &quota, &period) != 2)
        quota = 0;
    if (file)
        fclose(file);
    return quota > 0 && period > 0 ? quota / period : 0;
}

static double quota_v1(const char *root, const char *folder)
{
    double quota = read_number(root, folder, "cpu.cfs_quota_us");
    double period = read_number(root, folder, "cpu.cfs_period_us");
    return quota > 0 && period > 0 ? quota / period : 0;
}

static double memory_v2(const char *root, const char *folder)
{
    return read_number(root, folder, "memory.max");
}

static double memory_v1(const char *root, const char *folder)
{
    double limit = read_number(root, folder, "memory.limit_in_bytes");
    return limit < 0x1p62 ? limit : 0; /* none is written as the largest whole number of pages */
}

static void look_at_groups(struct machine *m, const char *root)
{
    char group[PATH_MAX];
    double memory = 0;
    if (group_of(group, root, ""))
        m->quota = least(root, "", group, quota_v2);
    if (m->quota == 0 && group_of(group, root, "cpu"))
        m->quota = least(root, "/cpu", group, quota_v1);
    if (group_of(group, root, ""))
        memory = least(root, "", group, memory_v2);
    if (memory == 0 && group_of(group, root, "memory"))
        memory = least(root, "/memory", group, memory_v1);
    m->memory_limit = memory < 0x1p62 ? (int64_t)memory : 0;
}

/* ---- processor, memory, load --------------------------------------------------------------- */

/* Cores that the threads of `allowed` lie on: one that has a sibling of a lower number there does
   not count. */
static int count_cores(const char *root, const cpu_set_t *allowed, size_t bytes)
{
    int cores = 0;
    for (int i = 0; i < MOST_THREADS; i++) {
        int first = i; /* of the siblings: "0,4" or "0-1" */
        if (!CPU_ISSET_S(i, bytes, allowed))
            continue;
        FILE *file =
            look_into(root, "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", i);
        if (file && fscanf(file, "%d", &first) != 1)
            first = i;
        if (file)
            fclose(file);
        cores += first >= i || first < 0 || !CPU_ISSET_S(first, bytes, allowed);
    }
    return cores;
}

static void look_at_threads(struct machine *m, const char *root)
{
    const size_t bytes = CPU_ALLOC_SIZE(MOST_THREADS);
    cpu_set_t *allowed = CPU_ALLOC(MOST_THREADS);
    if (allowed && sched_getaffinity(0, bytes, allowed) == 0) {
        m->threads = CPU_COUNT_S(bytes, allowed);
        m->cores = count_cores(root, allowed, bytes);
    }
    CPU_FREE(allowed);
    m->load_threads = (int)sysconf(_SC_NPROCESSORS_ONLN);
}

void machine_processor(char *name, size_t size, const char *root)
{
    FILE *file = look_into(root, "/proc/cpuinfo");
    name[0] = 0;
    if (!file)
        return;
    line_of(file, "model name", name, size);
    fclose(file);
}

static void look_at_files(struct machine *m, const char *root)
{
    char value[LINE];
    long long kilobytes;
    FILE *file;
    machine_processor(m->processor, sizeof m->processor, root);
    if ((file = look_into(root, "/proc/meminfo"))) {
        if (line_of(file, "MemTotal", value, sizeof value) &&
            sscanf(value, "%lld", &kilobytes) == 1)
            m->memory_bytes = kilobytes << 10;
        if (line_of(file, "MemAvailable", value, sizeof value) &&
            sscanf(value, "%lld", &kilobytes) == 1)
            m->memory_free = kilobytes << 10;
        fclose(file);
    }
    if ((file = look_into(root, "/proc/loadavg"))) {
        if (fscanf(file, "%lf", &m->load) != 1)
            m->load = 0;
        fclose(file);
    }
}

static void look_at_processor(struct machine *m)
{
    m->avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    m->avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    m->vnni = __builtin_cpu_supports("avx512vnni");
    m->bf16 = __builtin_cpu_supports("avx512bf16");
}

static const char *emulation(const struct machine *m)
{
    const char *preloaded = getenv("LD_PRELOAD");
    if (preloaded && strstr(preloaded, "vgpreload"))
        return "valgrind";
    return strstr(m->processor, "QEMU") || strstr(m->processor, "TCG") ? "QEMU" : NULL;
}

void machine_look(struct machine *m, const char *root)
{
    *m = (struct machine){0};
    look_at_files(m, root);
    look_at_groups(m, root);
    look_at_threads(m, root);
    look_at_processor(m);
    m->emulation = emulation(m);
    if (m->memory_limit && m->memory_limit < m->memory_free)
        m->memory_free = m->memory_limit;
}

int machine_useful_threads(const struct machine *m)
{
    int threads = m->threads > 0 ? m->threads : 1;
    if (m->quota > 0 && m->quota < threads)
        threads = m->quota > 1 ? (int)ceil(m->quota) : 1;
    return threads;
}
