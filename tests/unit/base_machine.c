/* What a machine tells of itself, read from folders that look like proc/ and sys/. */
#include "base/machine.h"
#include "temporary_folder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

static char folder[TEMPORARY_FOLDER];

static int setup(void **state)
{
    (void)state;
    return temporary_folder_make(folder);
}

static int teardown(void **state)
{
    (void)state;
    return temporary_folder_remove(folder);
}

static void put(const char *name, const char *text)
{
    assert_int_equal(temporary_folder_put(folder, name, text), 0);
}

static struct machine look(void)
{
    struct machine m;
    machine_look(&m, folder);
    return m;
}

static void test_nothing_there(void **state)
{
    (void)state;
    struct machine m = look();
    assert_string_equal(m.processor, "");
    assert_true(m.quota == 0 && m.memory_limit == 0 && m.memory_bytes == 0 && m.load == 0);
    assert_true(m.threads >= 1 && m.cores == m.threads);
    assert_int_equal(machine_useful_threads(&m), m.threads);
}

static void test_this_machine(void **state)
{
    (void)state;
    struct machine m;
    machine_look(&m, "");
    assert_true(m.threads >= 1 && m.cores >= 1 && m.cores <= m.threads);
    assert_true(m.memory_free > 0 && m.memory_free <= m.memory_bytes);
    assert_true(machine_useful_threads(&m) >= 1 && machine_useful_threads(&m) <= m.threads);
}

static void test_files(void **state)
{
    (void)state;
    put("proc/cpuinfo", "processor\t: 0\nmodel name\t: QEMU Virtual CPU\nmodel name\t: other\n");
    put("proc/meminfo", "MemTotal:       2048 kB\nMemFree: 1 kB\nMemAvailable:   1024 kB\n");
    put("proc/loadavg", "3.50 2.00 1.00 4/500 1234\n");
    struct machine m = look();
    assert_string_equal(m.processor, "QEMU Virtual CPU");
    assert_string_equal(m.emulation, "QEMU");
    assert_int_equal(m.memory_bytes, 2048 << 10);
    assert_int_equal(m.memory_free, 1024 << 10);
    assert_true(m.load == 3.5);
}

static void test_groups_of_version_2(void **state)
{
    (void)state;
    put("proc/self/cgroup", "0::/jobs/one\n");
    put("proc/meminfo", "MemTotal: 2048 kB\nMemAvailable: 1024 kB\n");
    put("sys/fs/cgroup/jobs/one/cpu.max", "max 100000\n");
    put("sys/fs/cgroup/jobs/one/memory.max", "524288\n");
    put("sys/fs/cgroup/jobs/cpu.max", "150000 100000\n"); /* above it */
    put("sys/fs/cgroup/jobs/memory.max", "max\n");
    struct machine m = look();
    assert_true(m.quota == 1.5);
    assert_int_equal(m.memory_limit, 524288);
    assert_int_equal(m.memory_free, 524288);
    m.threads = 8;
    assert_int_equal(machine_useful_threads(&m), 2);
    m.quota = 0.5;
    assert_int_equal(machine_useful_threads(&m), 1);
}

/* A container's: the group's path leads nowhere, its own is the topmost. */
static void test_groups_of_version_1(void **state)
{
    (void)state;
    put("proc/self/cgroup", "4:memory:/docker/1f\n3:cpuset:/x\n2:cpuacct,cpu:/docker/1f\n0::/\n");
    put("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "400000\n");
    put("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
    put("sys/fs/cgroup/memory/memory.limit_in_bytes", "1073741824\n");
    struct machine m = look();
    assert_true(m.quota == 4);
    assert_int_equal(m.memory_limit, 1 << 30);
    put("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
    put("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    m = look();
    assert_true(m.quota == 0 && m.memory_limit == 0);
}

static void test_strange_files(void **state)
{
    (void)state;
    char line[4096];
    memset(line, 'x', sizeof line - 1);
    line[sizeof line - 1] = 0;
    put("proc/cpuinfo", line);
    put("proc/meminfo", "MemTotal: many\nMemAvailable\n");
    put("proc/loadavg", "");
    put("proc/self/cgroup", "0\n0:\n0::\n0::not/absolute\n1:cpu\n");
    put("sys/fs/cgroup/cpu.max", "nan 0\n");
    struct machine m = look();
    assert_true(m.memory_bytes == 0 && m.load == 0 && m.quota == 0);
    put("proc/self/cgroup", "0::/\n");
    assert_true(look().quota == 0);
    put("sys/fs/cgroup/cpu.max", "100000 0\n");
    assert_true(look().quota == 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_nothing_there),       TEST(test_this_machine),        TEST(test_files),
        TEST(test_groups_of_version_2), TEST(test_groups_of_version_1), TEST(test_strange_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
