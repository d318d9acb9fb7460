/* Any bytes as a PyTorch checkpoint: an error, or tensors whose every element can be read. Bytes
   that are neither a zip archive nor the older format are taken for the pickle in an archive, so
   that what is found out about pickles need not be found out about archives first. */
#include "weights/torch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct part {
    const char *name;
    const uint8_t *data;
    size_t size, place;
};

static void put(FILE *f, uint64_t value, int size)
{
    for (int i = 0; i < size; i++)
        fputc((int)(value >> (8 * i) & 0xff), f);
}

static void put_header(FILE *f, const struct part *p, int central)
{
    put(f, central ? 0x02014b50 : 0x04034b50, 4);
    put(f, 0, central ? 8 : 6);
    put(f, 0, 8);
    put(f, p->size, 4);
    put(f, p->size, 4);
    put(f, strlen(p->name), 4);
    if (central) {
        put(f, 0, 8);
        put(f, 0, 2);
        put(f, p->place, 4);
    }
    fwrite(p->name, 1, strlen(p->name), f);
}

static void put_archive(FILE *f, const uint8_t *data, size_t size)
{
    static const uint8_t numbers[64];
    struct part parts[] = {
        {"a/data.pkl", data, size, 0}, {"a/data/0", numbers, 64, 0}, {"a/data/1", numbers, 16, 0}};
    for (int i = 0; i < 3; i++) {
        parts[i].place = (size_t)ftell(f);
        put_header(f, &parts[i], 0);
        fwrite(parts[i].data, 1, parts[i].size, f);
    }
    size_t start = (size_t)ftell(f);
    for (int i = 0; i < 3; i++)
        put_header(f, &parts[i], 1);
    size_t directory = (size_t)ftell(f) - start;
    put(f, 0x06054b50, 8);
    put(f, 3, 2);
    put(f, 3, 2);
    put(f, directory, 4);
    put(f, start, 4);
    put(f, 0, 2);
}

static void read_all(const struct torch *t)
{
    struct error err;
    double number;
    torch_number(t, "epoch", &number);
    torch_text(t, "args.arch");
    for (int i = 0; i < torch_count(t); i++) {
        const struct stored_tensor *s = torch_at(t, i);
        if (torch_find(t, s->name) != s)
            abort();
        volatile unsigned char last = s->bytes ? s->data[s->bytes - 1] : 0;
        (void)last;
        if (s->dtype == DTYPE_OTHER)
            continue;
        float *values = malloc(sizeof *values * (size_t)(s->count + 1));
        if (values && stored_read(values, s, 0, s->count, &err) != 0)
            abort();
        free(values);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    struct error err = {0};
    struct torch *t;
    snprintf(path, sizeof path, "/dev/shm/mome-fuzz-torch.%d", (int)getpid());
    FILE *f = fopen(path, "wb");
    if (!f)
        return 0;
    if (torch_sniff(data, size))
        fwrite(data, 1, size, f);
    else
        put_archive(f, data, size);
    fclose(f);
    if (torch_open(&t, path, &err) == 0) {
        read_all(t);
        torch_close(t);
    }
    unlink(path);
    return 0;
}
