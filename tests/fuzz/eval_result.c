/* Any bytes as a result's file: one error line, or a result that is written and read again to the
   same file. */
#include "base/file.h"
#include "eval/result.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Writes r, reads it into *again; the file's bytes into *text. */
static void write_and_read(const struct result *r, struct result *again, char **text, size_t *size,
                           const char *path)
{
    struct error err;
    if (result_write(r, path, &err) != 0 || file_read(text, size, path, SIZE_MAX, &err) != 0 ||
        result_read(again, path, &err) != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    struct error err = {0};
    struct result results[3];
    if (result_parse(&results[0], (const char *)data, size, "result.json", &err) != 0) {
        if (!strstr(err.message, "result.json"))
            abort();
        return 0;
    }
    char *text[2];
    size_t length[2];
    snprintf(path, sizeof path, "/dev/shm/mome-fuzz-result.%d", (int)getpid());
    for (int i = 0; i < 2; i++)
        write_and_read(&results[i], &results[i + 1], &text[i], &length[i], path);
    if (length[0] != length[1] || memcmp(text[0], text[1], length[0]) != 0)
        abort();
    for (int i = 0; i < 2; i++)
        memory_free(text[i]);
    for (int i = 0; i < 3; i++)
        result_release(&results[i]);
    unlink(path);
    return 0;
}
