#include "train/import_part.h"
#include "base/file.h"
#include "base/memory.h"
#include "media/ending.h"

#include <stdio.h>
#include <string.h>

#define MAX_LABEL_FILE ((size_t)1 << 30) /* bytes */

/* ---- texts beside the clips ---- */

static const char *read_beside(struct spoken *t, const struct import_list *list, const char *path)
{
    char beside[IMPORT_MAX_PATH + 5];
    char *bytes;
    size_t size;
    *t = (struct spoken){0};
    snprintf(beside, sizeof beside, "%.*s.txt", (int)path_stem(path), path);
    const enum drop drop = import_read(&bytes, &size, list, beside);
    if (drop)
        return drop == DROP_MISSING ? "there is no .txt beside it" : "the .txt cannot be read";
    const char *fault =
        list->format == IMPORT_LRS ? spoken_lrs(t, bytes, size) : spoken_plain(t, bytes, size);
    memory_free(bytes);
    return fault;
}

void import_texts(struct import_list *list)
{
#pragma omp parallel for schedule(dynamic, 64)
    for (int64_t i = 0; i < list->count; i++) {
        struct spoken t;
        const char *fault = read_beside(&t, list, list->clips[i].path);
        import_set_text(&list->clips[i], &t, fault);
    }
}

/* ---- LRS: splits ---- */

/* A clip of a list: below the folder of the split's name, below main, or at the top. */
static struct import_clip *find_listed(struct import_list *list, int64_t count, const char *split,
                                       const char *name, size_t length)
{
    const char *const folders[] = {split, "main", NULL};
    struct import_clip *clip = NULL;
    for (int i = 0; i < 2 && !clip && length < IMPORT_MAX_PATH; i++) {
        char stem[2 * IMPORT_MAX_PATH];
        int n = snprintf(stem, sizeof stem, "%s/%.*s", folders[i], (int)length, name);
        clip = import_find(list, count, stem, (size_t)n);
    }
    return clip ? clip : import_find(list, count, name, length);
}

/* count: of the walked clips; what is added behind these is not sorted. */
static int read_split(struct import_list *list, int64_t count, const char *name, struct error *err)
{
    char path[32];
    char *bytes;
    size_t size, length;
    snprintf(path, sizeof path, "%s.txt", name);
    if (import_read(&bytes, &size, list, path) != DROP_NOT)
        return 0;
    const char *split = import_split(list, name, strlen(name));
    const char *at = bytes, *end = bytes + size;
    int rc = 0;
    while (!rc && at < end) {
        const char *line = next_line(&at, end, &length);
        const char *blank = memchr(line, ' ', length);
        const size_t n = blank ? (size_t)(blank - line) : length;
        struct import_clip *clip = n ? find_listed(list, count, name, line, n) : NULL;
        if (clip) {
            clip->split = split; /* a clip in two lists: the later one's, and test is the last */
        } else if (n) {
            clip = import_add(list, line, n, err);
            rc = clip ? 0 : err->code;
            if (clip)
                import_set_drop(clip, DROP_MISSING, path);
        }
    }
    memory_free(bytes);
    return rc;
}

int import_lrs_splits(struct import_list *list, struct error *err)
{
    static const char *const lists[] = {"pretrain", "trainval", "train", "val", "test"};
    const int64_t count = list->count;
    int rc = 0;
    for (size_t i = 0; i < sizeof lists / sizeof *lists && !rc; i++)
        rc = read_split(list, count, lists[i], err);
    for (int64_t i = 0; i < count; i++) {
        struct import_clip *clip = &list->clips[i];
        const char *slash = strchr(clip->path, '/');
        const size_t n = slash ? (size_t)(slash - clip->path) : 0;
        for (size_t k = 0; k < sizeof lists / sizeof *lists && n && !clip->split; k++)
            if (strlen(lists[k]) == n && memcmp(clip->path, lists[k], n) == 0)
                clip->split = import_split(list, lists[k], n);
    }
    return rc;
}

/* ---- GRID ---- */

static const char *read_alignment(struct spoken *t, const struct import_list *list,
                                  const char *path)
{
    const char *slash = strrchr(path, '/'), *first = strchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    const int folder = (int)(name - path), speaker = first ? (int)(first - path) : 0;
    const int length = (int)(path_stem(path) - (size_t)folder);
    char files[5][2 * IMPORT_MAX_PATH + 32];
    const size_t room = sizeof files[0];
    snprintf(files[0], room, "%.*salign/%.*s.align", folder, path, length, name);
    snprintf(files[1], room, "%.*s%.*s.align", folder, path, length, name);
    snprintf(files[2], room, "align/%.*s/%.*s.align", speaker, path, length, name);
    snprintf(files[3], room, "alignments/%.*s/%.*s.align", speaker, path, length, name);
    snprintf(files[4], room, "align/%.*s.align", length, name);
    for (int i = 0; i < 5; i++) {
        char *bytes;
        size_t size;
        if (import_read(&bytes, &size, list, files[i]) != DROP_NOT)
            continue;
        const char *fault = spoken_grid(t, bytes, size);
        memory_free(bytes);
        return fault;
    }
    return spoken_sentence(t, name, (size_t)length);
}

void import_sentences(struct import_list *list)
{
#pragma omp parallel for schedule(dynamic, 64)
    for (int64_t i = 0; i < list->count; i++) {
        struct spoken t = {0};
        const char *fault = read_alignment(&t, list, list->clips[i].path);
        import_set_text(&list->clips[i], &t, fault);
    }
}

/* ---- lists ---- */

struct broken_lines {
    struct import_list *list;
    const char *path; /* of the manifest, below the root */
    struct error *err;
    int rc;
};

/* message: "FILE:LINE: what is wrong" */
static void add_broken(void *arg, const char *message)
{
    struct broken_lines *b = arg;
    const char *name = strrchr(message, '/');
    name = name ? name + 1 : message;
    const char *fault = strstr(name, ": ");
    const char *end = fault ? fault : name + strlen(name);
    struct import_clip *clip =
        b->rc ? NULL : import_add(b->list, name, (size_t)(end - name), b->err);
    if (clip)
        import_set_drop(clip, DROP_BROKEN_LINE, fault ? fault + 2 : NULL);
    else
        b->rc = b->err->code;
}

int import_manifest(struct import_list *list, const char *path, struct error *err)
{
    struct manifest m;
    struct broken_lines broken = {.list = list, .path = path, .err = err};
    char *whole = file_join(list->root, path);
    const size_t n = strlen(list->root);
    if (!whole)
        return error_set(err, ERROR_MEMORY, "%s: out of memory", list->root);
    int rc = manifest_load(&m, whole, add_broken, &broken, err);
    memory_free(whole);
    if (rc)
        return rc;
    rc = broken.rc;
    for (int64_t i = 0; i < m.count && !rc; i++) {
        const struct manifest_entry *entry = &m.entries[i];
        struct spoken t;
        const bool below = strncmp(entry->path, list->root, n) == 0 &&
                           (entry->path[n] == '/' || (n && list->root[n - 1] == '/'));
        const char *file = entry->path + (below ? n : 0);
        file += below && *file == '/';
        struct import_clip *clip = import_add(list, file, strlen(file), err);
        const char *fault = spoken_given(&t, entry->text, entry->words, entry->word_count);
        rc = clip ? 0 : err->code;
        if (clip)
            import_set_text(clip, &t, fault);
        spoken_release(&t);
    }
    manifest_release(&m);
    return rc;
}

/* The clip's path below the root: DATASET/PATH where that is there, else PATH. */
static struct import_clip *add_labelled(struct import_list *list, const struct label_line *l,
                                        struct error *err)
{
    char both[2 * IMPORT_MAX_PATH + 2];
    const char *detail;
    if (l->dataset_length && l->dataset_length + l->path_length < IMPORT_MAX_PATH) {
        int n = snprintf(both, sizeof both, "%.*s/%.*s", (int)l->dataset_length, l->dataset,
                         (int)l->path_length, l->path);
        const bool plain = !memchr(l->dataset, '/', l->dataset_length) && both[0] != '.';
        if (plain && l->path[0] != '/' && import_check(&detail, list, both) == DROP_NOT)
            return import_add(list, both, (size_t)n, err);
    }
    return import_add(list, l->path, l->path_length, err);
}

static int add_label_line(struct import_list *list, const char *name, int64_t number,
                          const char *split, const char *line, size_t length, struct error *err)
{
    struct label_line l;
    if (!label_line_read(&l, line, length)) {
        char place[IMPORT_MAX_PATH + 32];
        int n = snprintf(place, sizeof place, "%s:%lld", name, (long long)number);
        struct import_clip *clip = import_add(list, place, (size_t)n, err);
        if (clip)
            import_set_drop(clip, DROP_BROKEN_LINE, "expected dataset,path,frames,token ids,text");
        return clip ? 0 : err->code;
    }
    struct spoken t = {0};
    struct import_clip *clip = add_labelled(list, &l, err);
    const char *fault = "its line has no fifth field; token ids alone cannot be read";
    if (l.text)
        fault = spoken_quoted(&t, l.text, l.text_length);
    if (clip) {
        clip->split = split;
        import_set_text(clip, &t, fault);
    }
    spoken_release(&t);
    return clip ? 0 : err->code;
}

bool import_is_labels(const struct import_list *list, const char *path)
{
    struct error ignored = {0};
    struct file_map map;
    struct label_line l;
    size_t length;
    char *whole = file_join(list->root, path);
    bool is = false;
    if (whole && file_map_open(&map, whole, &ignored) == 0) {
        const char *at = (const char *)map.data;
        if (at) {
            const char *line = next_line(&at, at + map.size, &length);
            is = label_line_read(&l, line, length);
        }
        file_map_close(&map);
    }
    memory_free(whole);
    return is;
}

int import_labels(struct import_list *list, const char *path, struct error *err)
{
    char *whole = file_join(list->root, path);
    struct file_map map;
    int rc = whole ? file_map_open(&map, whole, err)
                   : error_set(err, ERROR_MEMORY, "%s: out of memory", list->root);
    memory_free(whole);
    if (rc)
        return rc;
    if (map.size > MAX_LABEL_FILE)
        rc = error_set(err, ERROR_LIMIT, "%s/%s: larger than %zu bytes", list->root, path,
                       MAX_LABEL_FILE);
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    const char *split = import_split(list, name, path_stem(name));
    const char *at = (const char *)map.data, *end = at + (at ? map.size : 0);
    for (int64_t number = 1; !rc && at < end; number++) {
        size_t length;
        const char *line = next_line(&at, end, &length);
        if (length)
            rc = add_label_line(list, name, number, split, line, length, err);
    }
    file_map_close(&map);
    return rc;
}
