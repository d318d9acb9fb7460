#include "train/import_part.h"
#include "base/file.h"
#include "base/memory.h"
#include "media/ending.h"
#include "text/normalize.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_SPLITS 64
#define MAX_SPLIT_NAME 100
#define MAX_TEXT_FILE ((size_t)1 << 22)
#define LOOKED_AT 1000 /* clips, to tell what layout it is */

static const char *const format_names[IMPORT_FORMATS] = {"auto", "folder", "lrs", "csv", "grid"};

const char *import_format_name(enum import_format format)
{
    return format_names[format];
}

bool import_format_find(enum import_format *format, const char *name)
{
    for (int i = 0; i < IMPORT_FORMATS; i++)
        if (strcmp(name, format_names[i]) == 0) {
            *format = (enum import_format)i;
            return true;
        }
    return false;
}

const char *drop_name(enum drop drop)
{
    static const char *const names[DROPS] = {
        [DROP_NOT] = "kept",
        [DROP_BROKEN_LINE] = "broken line",
        [DROP_OUTSIDE] = "outside the folder",
        [DROP_MISSING] = "missing file",
        [DROP_SAME_NAME] = "same name",
        [DROP_NO_TEXT] = "no text",
        [DROP_UNREADABLE] = "unreadable",
        [DROP_NO_SOUND] = "no sound",
        [DROP_NO_PICTURES] = "no pictures",
        [DROP_NO_FACE] = "no face",
        [DROP_FEW_FACES] = "few faces",
        [DROP_TOO_SHORT] = "too short",
        [DROP_TOO_LONG] = "too long",
    };
    return names[drop];
}

/* ---- the list ---- */

/* "./a//b" -> "a/b" in out, of length + 1 bytes. What is wrong with the path; NULL: nothing. */
static const char *clean_path(char *out, const char *path, size_t length)
{
    size_t kept = 0;
    *out = 0;
    if (!length || length > IMPORT_MAX_PATH)
        return length ? "the path is too long" : "the path is empty";
    if (normalize_valid(path, length) != length)
        return "the path is not UTF-8";
    if (path[0] == '/')
        return "the path is absolute";
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)path[i] < 0x20 || path[i] == 0x7f)
            return "the path has a control character";
    for (size_t i = 0, n; i < length; i += n + 1) {
        const char *slash = memchr(path + i, '/', length - i);
        n = slash ? (size_t)(slash - path) - i : length - i;
        if (n == 2 && memcmp(path + i, "..", 2) == 0)
            return "the path has \"..\" in it";
        if (n == 0 || (n == 1 && path[i] == '.'))
            continue;
        if (kept)
            out[kept++] = '/';
        memcpy(out + kept, path + i, n);
        kept += n;
    }
    out[kept] = 0;
    return kept ? NULL : "the path is empty";
}

/* What can be shown of a path that is no good. */
static void show_path(char *out, const char *path, size_t length)
{
    for (size_t i = 0; i < length; i++)
        out[i] = (unsigned char)path[i] < 0x20 || (unsigned char)path[i] > 0x7e ? '?' : path[i];
    out[length] = 0;
}

struct import_clip *import_add(struct import_list *list, const char *path, size_t length,
                               struct error *err)
{
    if (list->count >= IMPORT_MAX_CLIPS) {
        error_set(err, ERROR_LIMIT, "%s: more than %d clips", list->root, IMPORT_MAX_CLIPS);
        return NULL;
    }
    const size_t shown = length > IMPORT_MAX_PATH ? IMPORT_MAX_PATH : length;
    char *clean = memory_new(shown + 1, 1);
    if (!clean || !memory_reserve(&list->clips, &list->room, list->count, list->count + 1,
                                  sizeof *list->clips)) {
        memory_free(clean);
        error_set(err, ERROR_MEMORY, "%s: out of memory for the list of clips", list->root);
        return NULL;
    }
    const char *fault = clean_path(clean, path, length);
    struct import_clip *clip = &list->clips[list->count++];
    *clip = (struct import_clip){.path = clean};
    if (fault) {
        show_path(clean, path, shown);
        import_set_drop(clip, DROP_OUTSIDE, fault);
    }
    return clip;
}

void import_set_drop(struct import_clip *clip, enum drop drop, const char *detail)
{
    if (clip->drop)
        return; /* the first fault wins */
    clip->drop = drop;
    clip->detail = detail ? memory_strdup(detail) : NULL;
}

void import_set_text(struct import_clip *clip, struct spoken *t, const char *fault)
{
    spoken_release(&clip->spoken);
    clip->spoken = *t;
    *t = (struct spoken){0};
    if (fault)
        import_set_drop(clip, DROP_NO_TEXT, fault);
}

const char *import_split(struct import_list *list, const char *name, size_t length)
{
    char clean[MAX_SPLIT_NAME + 1];
    if (length > MAX_SPLIT_NAME || clean_path(clean, name, length) || memchr(name, '/', length) ||
        strcmp(clean, "manifest") == 0 || strcmp(clean, "dropped") == 0 || clean[0] == '.')
        return NULL; /* these two files are there for all splits */
    for (int i = 0; i < list->split_count; i++)
        if (strcmp(list->splits[i], clean) == 0)
            return list->splits[i];
    if (!list->splits)
        list->splits = memory_new(MAX_SPLITS, sizeof *list->splits);
    if (!list->splits || list->split_count == MAX_SPLITS)
        return NULL;
    list->splits[list->split_count] = memory_strdup(clean);
    return list->splits[list->split_count] ? list->splits[list->split_count++] : NULL;
}

static int compare_stems(const char *a, size_t a_length, const char *b, size_t b_length)
{
    int order = memcmp(a, b, a_length < b_length ? a_length : b_length);
    return order ? order : (a_length > b_length) - (a_length < b_length);
}

static int compare_clips(const void *left, const void *right)
{
    const struct import_clip *a = left, *b = right;
    int order = compare_stems(a->path, path_stem(a->path), b->path, path_stem(b->path));
    if (!order) /* what is wrong with its path must not push a good one out */
        order = (a->drop != DROP_NOT) - (b->drop != DROP_NOT);
    if (!order)
        order = (int)media_rank(a->path) - (int)media_rank(b->path);
    if (!order)
        order = strcmp(a->path, b->path);
    if (!order && a->split && b->split)
        order = strcmp(a->split, b->split);
    if (!order && a->spoken.text && b->spoken.text)
        order = strcmp(a->spoken.text, b->spoken.text);
    return order;
}

void import_sort(struct import_list *list)
{
    if (list->count)
        qsort(list->clips, (size_t)list->count, sizeof *list->clips, compare_clips);
}

struct import_clip *import_find(struct import_list *list, int64_t count, const char *stem,
                                size_t length)
{
    int64_t low = 0, high = count;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        const char *path = list->clips[middle].path;
        int order = compare_stems(path, path_stem(path), stem, length);
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == count)
        return NULL;
    const char *path = list->clips[low].path;
    return compare_stems(path, path_stem(path), stem, length) == 0 ? &list->clips[low] : NULL;
}

/* ---- files below the root ---- */

/* The whole path of a regular file below the root; freed by memory_free. NULL: *drop, *detail. */
static char *place(enum drop *drop, const char **detail, const struct import_list *list,
                   const char *path)
{
    struct stat st;
    char *joined = file_join(list->root, path);
    char *real = joined ? realpath(joined, NULL) : NULL;
    const size_t n = strlen(list->real);
    *drop = DROP_MISSING;
    *detail = !joined           ? "there is no memory for it"
              : errno == ENOENT ? "there is no such file"
                                : "it cannot be opened";
    bool good = real != NULL;
    if (good && (strncmp(real, list->real, n) != 0 || (real[n] != '/' && n > 1))) {
        *drop = DROP_OUTSIDE;
        *detail = "a link leads out of the folder";
        good = false;
    } else if (good && (stat(real, &st) != 0 || !S_ISREG(st.st_mode))) {
        *detail = "it is no regular file"; /* a pipe would be waited for */
        good = false;
    }
    free(real);
    if (!good) {
        memory_free(joined);
        joined = NULL;
    }
    return joined;
}

enum drop import_check(const char **detail, const struct import_list *list, const char *path)
{
    enum drop drop;
    char *file = place(&drop, detail, list, path);
    memory_free(file);
    return file ? DROP_NOT : drop;
}

enum drop import_read(char **bytes, size_t *size, const struct import_list *list, const char *path)
{
    struct error ignored = {0};
    const char *detail;
    enum drop drop;
    char *file = place(&drop, &detail, list, path);
    *bytes = NULL;
    if (!file)
        return drop;
    int rc = file_read(bytes, size, file, MAX_TEXT_FILE, &ignored);
    memory_free(file);
    return rc ? DROP_UNREADABLE : DROP_NOT;
}

/* ---- opening ---- */

/* Whether the folder (below the root; "": itself) has label files; read: reads all .csv files. */
static int find_labels(bool *found, struct import_list *list, const char *folder, bool read,
                       struct error *err)
{
    char *whole = file_join(list->root, folder);
    struct dirent **names = NULL;
    int n = whole ? scandir(whole, &names, NULL, alphasort) : -1, rc = 0;
    for (int i = 0; i < n; i++) {
        const char *dot = strrchr(names[i]->d_name, '.');
        const char *detail;
        char *path = dot && strcmp(dot, ".csv") == 0 && names[i]->d_name[0] != '.'
                         ? file_join(folder, names[i]->d_name)
                         : NULL;
        if (path && !rc && import_check(&detail, list, path) == DROP_NOT) {
            *found = *found || import_is_labels(list, path);
            rc = read ? import_labels(list, path, err) : 0;
        }
        memory_free(path);
        free(names[i]);
    }
    free(names);
    memory_free(whole);
    return rc;
}

/* What the walked clips look like: the first text beside one decides, or else the first name. */
static enum import_format recognise(const struct import_list *list)
{
    struct spoken t;
    for (int64_t i = 0; i < list->count && i < LOOKED_AT; i++) {
        const char *path = list->clips[i].path;
        char text[IMPORT_MAX_PATH + 5];
        char *bytes;
        size_t size;
        snprintf(text, sizeof text, "%.*s.txt", (int)path_stem(path), path);
        if (import_read(&bytes, &size, list, text) != DROP_NOT)
            continue;
        bool lrs = spoken_is_lrs(bytes, size);
        memory_free(bytes);
        return lrs ? IMPORT_LRS : IMPORT_FOLDER;
    }
    for (int64_t i = 0; i < list->count && i < LOOKED_AT; i++) {
        const char *path = list->clips[i].path, *slash = strrchr(path, '/');
        const char *name = slash ? slash + 1 : path;
        const char *fault = spoken_sentence(&t, name, path_stem(path) - (size_t)(name - path));
        spoken_release(&t);
        if (!fault)
            return IMPORT_GRID;
    }
    return IMPORT_FOLDER;
}

static int open_walked(struct import_list *list, const char *skip, struct error *err)
{
    int rc = import_walk(list, skip, err);
    if (!rc && list->format == IMPORT_AUTO)
        list->format = recognise(list);
    if (!rc && list->format == IMPORT_GRID)
        import_sentences(list);
    else if (!rc)
        import_texts(list);
    return rc || list->format != IMPORT_LRS ? rc : import_lrs_splits(list, err);
}

static int open_folder(struct import_list *list, const char *skip, struct error *err)
{
    const char *detail;
    bool labels = false;
    int rc = 0;
    const bool may_be_folder = list->format == IMPORT_AUTO || list->format == IMPORT_FOLDER;
    if (may_be_folder && import_check(&detail, list, "manifest.tsv") == DROP_NOT) {
        list->format = IMPORT_FOLDER;
        return import_manifest(list, "manifest.tsv", err);
    }
    const bool read = list->format == IMPORT_CSV;
    if (list->format == IMPORT_AUTO || read) {
        rc = find_labels(&labels, list, "", read, err);
        if (!rc)
            rc = find_labels(&labels, list, "labels", read, err);
    }
    if (rc || read)
        return rc;
    if (labels) {
        list->format = IMPORT_CSV;
        return open_folder(list, skip, err);
    }
    return open_walked(list, skip, err);
}

/* One manifest or one file of labels: list->root is the file for now. */
static int open_file(struct import_list *list, struct error *err)
{
    char *whole = realpath(list->root, NULL);
    char *name = whole ? strrchr(whole, '/') : NULL;
    if (!name)
        return error_set(err, ERROR_IO, "%s: cannot open: %s", list->root, strerror(errno));
    const char *dot = strrchr(name, '.');
    const bool csv = list->format == IMPORT_CSV ||
                     (list->format == IMPORT_AUTO && dot && strcmp(dot, ".csv") == 0);
    const char *above = "/labels";
    const size_t n = strlen(above), length = (size_t)(name - whole);
    if (csv && length > n && memcmp(name - n, above, n) == 0)
        name -= n;
    *name++ = 0;
    memory_free(list->root);
    list->root = memory_strdup(*whole ? whole : "/");
    list->real = memory_strdup(*whole ? whole : "/");
    list->format = csv ? IMPORT_CSV : IMPORT_FOLDER;
    int rc = !list->root || !list->real ? error_set(err, ERROR_MEMORY, "out of memory")
             : csv                      ? import_labels(list, name, err)
                                        : import_manifest(list, name, err);
    free(whole);
    return rc;
}

static int open_any(struct import_list *list, const char *source, const char *skip,
                    struct error *err)
{
    struct stat st;
    list->root = memory_strdup(source);
    if (!list->root)
        return error_set(err, ERROR_MEMORY, "out of memory");
    if (stat(source, &st) != 0)
        return error_set(err, ERROR_IO, "%s: cannot open: %s", source, strerror(errno));
    if (S_ISREG(st.st_mode))
        return open_file(list, err);
    if (!S_ISDIR(st.st_mode))
        return error_set(err, ERROR_IO, "%s: neither a folder nor a list of clips", source);
    char *real = realpath(source, NULL);
    list->real = real ? memory_strdup(real) : NULL;
    free(real);
    if (!list->real)
        return error_set(err, ERROR_IO, "%s: cannot open: %s", source, strerror(errno));
    return open_folder(list, skip, err);
}

/* ---- afterwards ---- */

/* Sounds that belong to a video of the same name go, other namesakes are dropped. */
static void settle_namesakes(struct import_list *list)
{
    struct import_clip *last = NULL; /* kept, of this stem */
    int64_t kept = 0;
    for (int64_t i = 0; i < list->count; i++) {
        struct import_clip *clip = &list->clips[i];
        const bool same = last && compare_stems(last->path, path_stem(last->path), clip->path,
                                                path_stem(clip->path)) == 0;
        if (same && media_rank(last->path) == RANK_VIDEO && media_rank(clip->path) == RANK_SOUND) {
            memory_free(clip->path);
            spoken_release(&clip->spoken);
            memory_free(clip->detail);
            continue;
        }
        if (same && !clip->drop)
            import_set_drop(clip, DROP_SAME_NAME, last->path);
        list->clips[kept] = *clip;
        if (!same)
            last = clip->drop == DROP_OUTSIDE ? NULL : &list->clips[kept];
        kept++;
    }
    list->count = kept;
}

/* NAME.wav or NAME.flac beside a video. */
static char *find_sound(const struct import_list *list, const char *path)
{
    static const char *const endings[] = {"wav", "flac"};
    char sound[IMPORT_MAX_PATH + 6];
    const char *detail;
    for (int i = 0; i < 2; i++) {
        snprintf(sound, sizeof sound, "%.*s.%s", (int)path_stem(path), path, endings[i]);
        if (media_rank(path) == RANK_VIDEO && import_check(&detail, list, sound) == DROP_NOT)
            return memory_strdup(sound);
    }
    return NULL;
}

static void check_clip(const struct import_list *list, struct import_clip *clip)
{
    const char *detail;
    if (clip->drop)
        return;
    const enum drop drop = import_check(&detail, list, clip->path);
    if (drop)
        import_set_drop(clip, drop, detail);
    else
        clip->sound = find_sound(list, clip->path);
}

int import_open(struct import_list *list, const char *source, enum import_format format,
                const char *skip, struct error *err)
{
    *list = (struct import_list){.format = format};
    int rc = open_any(list, source, skip, err);
    int64_t good = 0;
    if (!rc) {
        import_sort(list);
        settle_namesakes(list);
#pragma omp parallel for schedule(dynamic, 64) reduction(+ : good)
        for (int64_t i = 0; i < list->count; i++) {
            check_clip(list, &list->clips[i]);
            good += !list->clips[i].drop;
        }
    }
    if (!rc && !list->count)
        rc = error_set(err, ERROR_FORMAT,
                       "%s: no clips in it; expected media files (mp4, mkv, wav ...) with their "
                       "text in NAME.txt, a manifest.tsv, or the layout of LRS, auto_avsr or GRID",
                       source);
    else if (!rc && !good)
        rc = error_set(err, ERROR_FORMAT,
                       "%s: taken for the layout \"%s\", and none of its %lld clips is good; the "
                       "first: %.200s: %s%s%s",
                       source, import_format_name(list->format), (long long)list->count,
                       list->clips[0].path, drop_name(list->clips[0].drop),
                       list->clips[0].detail ? ", " : "",
                       list->clips[0].detail ? list->clips[0].detail : "");
    if (rc)
        import_release(list);
    return rc;
}

void import_release(struct import_list *list)
{
    for (int64_t i = 0; i < list->count; i++) {
        memory_free(list->clips[i].path);
        memory_free(list->clips[i].sound);
        memory_free(list->clips[i].detail);
        spoken_release(&list->clips[i].spoken);
    }
    for (int i = 0; i < list->split_count; i++)
        memory_free(list->splits[i]);
    memory_free(list->clips);
    memory_free(list->splits);
    memory_free(list->root);
    memory_free(list->real);
    *list = (struct import_list){0};
}
