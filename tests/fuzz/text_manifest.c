/* Any bytes as a manifest: an error, or entries that are what the header promises. */
#include "base/file.h"
#include "text/manifest.h"
#include "text/normalize.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ignore(void *arg, const char *message)
{
    *(size_t *)arg += strlen(message);
}

static void check(const struct manifest_entry *entry)
{
    if (!entry->path[0] || !entry->text[0] || strpbrk(entry->text, "\t\n\r") ||
        normalize_valid(entry->text, strlen(entry->text)) != strlen(entry->text))
        abort();
    for (int32_t i = 0; i < entry->word_count; i++)
        if (!entry->words[i].text[0] || entry->words[i].start_ms < 0 ||
            entry->words[i].end_ms < entry->words[i].start_ms)
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    struct error err;
    struct manifest m;
    size_t told = 0;
    snprintf(path, sizeof path, "/dev/shm/mome-fuzz-manifest.%d", (int)getpid());
    if (file_write(path, data, size, &err) == 0 &&
        manifest_load(&m, path, ignore, &told, &err) == 0) {
        for (int64_t i = 0; i < m.count; i++)
            check(&m.entries[i]);
        manifest_release(&m);
    }
    unlink(path);
    return 0;
}
