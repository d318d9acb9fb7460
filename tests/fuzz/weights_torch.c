/* Any bytes as a PyTorch checkpoint: an error, or tensors whose every element can be read. Bytes
   that are neither a zip archive nor the older format are taken for the pickle in an archive, so
   that what is found out about pickles need not be found out about archives first. */
#include "touch_weights.h"
#include "weights/torch.h"

#include <stdio.h>

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

static void read_all(const uint8_t *data, size_t size)
{
    struct error err = {0};
    struct torch *t;
    double number;
    if (torch_read(&t, data, size, "fuzz", &err) != 0)
        return;
    torch_number(t, "epoch", &number);
    torch_text(t, "args.arch");
    for (int i = 0; i < torch_count(t); i++) {
        if (torch_find(t, torch_at(t, i)->name) != torch_at(t, i))
            abort();
        touch_tensor(torch_at(t, i));
    }
    torch_close(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (torch_sniff(data, size)) {
        read_all(data, size);
        return 0;
    }
    char *archive;
    size_t archive_size;
    FILE *f = open_memstream(&archive, &archive_size);
    put_archive(f, data, size);
    fclose(f);
    uint8_t *exact = malloc(archive_size); /* a read past the end is seen */
    memcpy(exact, archive, archive_size);
    read_all(exact, archive_size);
    free(exact);
    free(archive);
    return 0;
}
