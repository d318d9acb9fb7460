#include "train/prepare.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/memory.h"
#include "train/prepare_journal.h"

#include <dirent.h>
#include <errno.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEY_VERSION 1     /* raised whenever prepared clips come out differently */
#define JOBS_PER_FINDER 4 /* one finder detects for one thread at a time (features/face.h) */
#define MAX_NAME 64

struct job {
    const struct prepare_options *options;
    struct import_list list;
    char *work;             /* OUT/work */
    char shard[MAX_NAME];   /* "1-of-3" */
    struct prepared *known; /* [list.count] */
    uint64_t *keys;         /* [list.count] */
    int64_t *todo;          /* [todo_count] indices of clips */
    int64_t todo_count;
    struct face_finder **finders; /* [finder_count] */
    int finder_count;
    struct journal_writer journal;
    int64_t done, left_out;
    int stop; /* an error code: all threads come to an end */
};

static int out_of_memory(struct error *err)
{
    return error_set(err, ERROR_MEMORY, "out of memory for the list of clips");
}

/* ---- what is known already ---- */

static bool add_file(uint64_t *key, const char *root, const char *name)
{
    struct stat st;
    char *path = file_join(root, name);
    bool good = path && stat(path, &st) == 0;
    memory_free(path);
    if (good) {
        const int64_t file[3] = {st.st_size, st.st_mtim.tv_sec, st.st_mtim.tv_nsec};
        *key = hash_bytes(hash_bytes(*key, name, strlen(name)), file, sizeof file);
    }
    return good;
}

/* All that the outcome depends on. */
static int make_key(uint64_t *key, const struct job *j, const struct import_clip *clip,
                    struct error *err)
{
    const int64_t options[3] = {KEY_VERSION, j->options->streams, j->options->most_ms};
    struct piece *pieces;
    int count = prepare_plan(&pieces, &clip->spoken, j->options->most_ms);
    if (count < 0)
        return out_of_memory(err);
    *key = hash_bytes(1, options, sizeof options);
    if (count > 1)
        *key = hash_bytes(*key, pieces, (size_t)count * sizeof *pieces);
    memory_free(pieces);
    add_file(key, j->list.root, clip->path); /* gone meanwhile: reading it will say so */
    if (clip->sound)
        add_file(key, j->list.root, clip->sound);
    return 0;
}

/* Whether all that was made of the clip is there, in its full size. */
static bool all_there(const struct prepared *p, const char *output, const struct import_clip *clip)
{
    bool good = true;
    for (int i = 0; i < p->count && good; i++) {
        struct stat st;
        char *name = p->outcomes[i].drop ? NULL : prepare_name(clip, i, p->count);
        char *path = name ? file_join(output, name) : NULL;
        if (!p->outcomes[i].drop)
            good = path && stat(path, &st) == 0 && st.st_size == p->outcomes[i].bytes;
        memory_free(path);
        memory_free(name);
    }
    return good;
}

/* Looks the clips up that are not known yet. */
static int look_up(struct job *j, struct error *err)
{
    struct journal *journal;
    int rc = journal_load(&journal, j->work, err);
    if (rc)
        return rc;
    for (int64_t i = 0; i < j->list.count; i++) {
        struct prepared *p = &j->known[i];
        const struct import_clip *clip = &j->list.clips[i];
        if (clip->drop || p->known || !journal_find(journal, p, clip->path, j->keys[i]))
            continue;
        if (!all_there(p, j->options->output, clip))
            prepared_release(p);
    }
    journal_free(journal);
    return 0;
}

/* ---- before the work ---- */

static void keep_split(struct import_list *list, const char *split)
{
    int64_t kept = 0;
    for (int64_t i = 0; i < list->count; i++) {
        struct import_clip *clip = &list->clips[i];
        if (clip->split && strcmp(clip->split, split) == 0) {
            const struct import_clip moved = *clip;
            list->clips[i] = list->clips[kept];
            list->clips[kept++] = moved;
        }
    }
    for (int64_t i = kept; i < list->count; i++) {
        memory_free(list->clips[i].path);
        memory_free(list->clips[i].sound);
        memory_free(list->clips[i].detail);
        spoken_release(&list->clips[i].spoken);
    }
    list->count = kept;
}

static int open_list(struct job *j, struct error *err)
{
    const struct prepare_options *o = j->options;
    int rc = import_open(&j->list, o->source, o->format, o->output, err);
    if (rc || !o->split)
        return rc;
    keep_split(&j->list, o->split);
    if (j->list.count)
        return 0;
    char names[256] = "";
    for (int i = 0; i < j->list.split_count && strlen(names) < 128; i++)
        snprintf(names + strlen(names), sizeof names - strlen(names), " %.100s", j->list.splits[i]);
    return error_set(err, ERROR_USAGE, "%s: no split \"%s\"; there %s%s", o->source, o->split,
                     *names ? "are:" : "are none", names);
}

/* Files that a killed run of this shard was writing. */
static void clear_leftovers(const struct job *j)
{
    DIR *folder = opendir(j->work);
    struct dirent *entry;
    const size_t n = strlen(j->shard);
    while (folder && (entry = readdir(folder)))
        if (strncmp(entry->d_name, j->shard, n) == 0 && entry->d_name[n] == '.' &&
            strstr(entry->d_name, ".mkv")) {
            char *path = file_join(j->work, entry->d_name);
            if (path)
                unlink(path);
            memory_free(path);
        }
    if (folder)
        closedir(folder);
}

static int open_journal(struct job *j, struct error *err)
{
    char name[MAX_NAME + 8];
    snprintf(name, sizeof name, "%s.tsv", j->shard);
    char *path = file_join(j->work, name);
    int rc = path ? journal_open(&j->journal, path, err) : out_of_memory(err);
    memory_free(path);
    if (!rc)
        clear_leftovers(j); /* the lock of the journal says that nobody writes them */
    return rc;
}

static int find_todo(struct job *j, struct error *err)
{
    const struct prepare_options *o = j->options;
    const size_t count = (size_t)j->list.count;
    int64_t good = 0;
    int rc = 0;
    j->known = memory_new(count, sizeof *j->known);
    j->keys = memory_new(count, sizeof *j->keys);
    j->todo = memory_new(count, sizeof *j->todo);
    if (!j->known || !j->keys || !j->todo)
        return out_of_memory(err);
    for (int64_t i = 0; i < j->list.count && !rc; i++)
        if (!j->list.clips[i].drop)
            rc = make_key(&j->keys[i], j, &j->list.clips[i], err);
    if (!rc)
        rc = look_up(j, err);
    for (int64_t i = 0; i < j->list.count && !rc; i++) {
        const bool mine = !j->list.clips[i].drop && good++ % o->shards == o->shard - 1;
        if (mine && !j->known[i].known)
            j->todo[j->todo_count++] = i;
    }
    return rc;
}

static int open_finders(struct job *j, struct error *err)
{
    const int count = (j->options->jobs + JOBS_PER_FINDER - 1) / JOBS_PER_FINDER;
    int rc = 0;
    j->finders = memory_new((size_t)count, sizeof *j->finders);
    if (!j->finders)
        return out_of_memory(err);
    for (; j->finder_count < count && !rc; j->finder_count += !rc)
        rc = face_finder_open(&j->finders[j->finder_count], err);
    return rc;
}

/* ---- the work ---- */

static int do_clip(struct job *j, int64_t index, struct error *err)
{
    const struct prepare_options *o = j->options;
    const int thread = omp_get_thread_num();
    char name[MAX_NAME + 32];
    snprintf(name, sizeof name, "%s.%d.mkv", j->shard, thread);
    char *temporary = file_join(j->work, name);
    const struct prepare_place place = {.root = j->list.root,
                                        .output = o->output,
                                        .temporary = temporary,
                                        .finder = j->finders[thread / JOBS_PER_FINDER],
                                        .streams = o->streams,
                                        .most_ms = o->most_ms};
    int rc = temporary ? prepare_clip(&j->known[index], &place, &j->list.clips[index], err)
                       : out_of_memory(err);
    memory_free(temporary);
    return rc;
}

/* Clips side by side; what each came to is written down as it is done. */
static int do_all(struct job *j, struct error *err)
{
    const struct prepare_options *o = j->options;
#pragma omp parallel for schedule(dynamic) num_threads(o->jobs)
    for (int64_t k = 0; k < j->todo_count; k++) {
        const int64_t i = j->todo[k];
        struct error mine = {0};
        int stop;
#pragma omp atomic read
        stop = j->stop;
        if (stop)
            continue;
        int rc = do_clip(j, i, &mine);
#pragma omp critical
        {
            if (!rc)
                rc = journal_add(&j->journal, j->list.clips[i].path, j->keys[i], &j->known[i],
                                 &mine);
            j->done++;
            j->left_out += j->known[i].drop != DROP_NOT;
            if (!rc && o->report && o->report(o->arg, j->done, j->todo_count, j->left_out))
                rc = error_set(&mine, ERROR_CANCELLED,
                               "stopped; the same command goes on where it was");
            if (rc && !j->stop) {
                *err = mine;
#pragma omp atomic write
                j->stop = rc;
            }
        }
    }
    return j->stop;
}

/* ---- the lists ---- */

/* Words of a piece as a manifest has them; false: they reach beyond its end. */
static bool print_words(FILE *f, const struct spoken *t, const struct piece *piece, int32_t ms)
{
    const struct manifest_word *words = t->words + piece->first_word;
    if (piece->word_count && words[piece->word_count - 1].start_ms - piece->start_ms >= ms)
        return false;
    for (int32_t i = 0; i < piece->word_count; i++) {
        const int32_t start = words[i].start_ms - piece->start_ms;
        const int32_t end = words[i].end_ms - piece->start_ms;
        fprintf(f, "%s%s:%d:%d", i ? " " : "", words[i].text, start > 0 ? start : 0,
                end > 0 ? end : 0);
    }
    return true;
}

static void print_text(FILE *f, const struct spoken *t, const struct piece *piece, int pieces)
{
    if (pieces == 1) {
        fputs(t->text, f);
        return;
    }
    for (int32_t i = 0; i < piece->word_count; i++)
        fprintf(f, "%s%s", i ? " " : "", t->words[piece->first_word + i].text);
}

/* The lines of a clip, in one list. */
static int print_clip(FILE *f, const struct job *j, int64_t index, int64_t *without_words,
                      struct error *err)
{
    const struct import_clip *clip = &j->list.clips[index];
    const struct prepared *p = &j->known[index];
    struct piece *pieces;
    int count = prepare_plan(&pieces, &clip->spoken, j->options->most_ms);
    int rc = count < 0 ? out_of_memory(err) : 0;
    for (int i = 0; i < p->count && i < count && !rc; i++) {
        if (p->outcomes[i].drop)
            continue;
        char *name = prepare_name(clip, i, p->count);
        if (!name) {
            rc = out_of_memory(err);
            break;
        }
        fprintf(f, "%s\t", name);
        print_text(f, &clip->spoken, &pieces[i], count);
        fputc('\t', f);
        *without_words += !print_words(f, &clip->spoken, &pieces[i], p->outcomes[i].ms);
        if (j->list.split_count)
            fprintf(f, "\t%s", clip->split ? clip->split : "");
        fputc('\n', f);
        memory_free(name);
    }
    memory_free(pieces);
    return rc;
}

/* split NULL: all of them. */
static int write_manifest(const struct job *j, const char *name, const char *split,
                          int64_t *without_words, struct error *err)
{
    struct file_writer w;
    char *path = file_join(j->options->output, name);
    int rc = path ? file_writer_open(&w, path, err) : out_of_memory(err);
    memory_free(path);
    if (rc)
        return rc;
    fprintf(w.stream, "path\ttext\twords_ms%s\n", j->list.split_count ? "\tsplit" : "");
    *without_words = 0;
    for (int64_t i = 0; i < j->list.count && !rc; i++)
        if (!j->list.clips[i].drop && (!split || j->list.clips[i].split == split))
            rc = print_clip(w.stream, j, i, without_words, err);
    if (!rc)
        return file_writer_commit(&w, err);
    file_writer_abandon(&w);
    return rc;
}

static void print_dropped(FILE *f, const struct import_clip *clip, const struct prepared *p)
{
    const enum drop drop = clip->drop ? clip->drop : p->drop;
    const char *detail = clip->drop ? clip->detail : p->detail;
    if (drop) {
        fprintf(f, "%s\t%s\t", clip->path, drop_name(drop));
        for (const char *c = detail ? detail : ""; *c; c++)
            fputc((unsigned char)*c < 0x20 ? ' ' : *c, f);
        fputc('\n', f);
    }
    for (int i = 0; i < p->count; i++)
        if (p->outcomes[i].drop)
            fprintf(f, "%s\t%s\tpiece %d of %d\n", clip->path, drop_name(p->outcomes[i].drop),
                    i + 1, p->count);
}

static int write_dropped(const struct job *j, struct error *err)
{
    struct file_writer w;
    char *path = file_join(j->options->output, "dropped.tsv");
    int rc = path ? file_writer_open(&w, path, err) : out_of_memory(err);
    memory_free(path);
    if (rc)
        return rc;
    fputs("path\treason\tdetail\n", w.stream);
    for (int64_t i = 0; i < j->list.count; i++)
        print_dropped(w.stream, &j->list.clips[i], &j->known[i]);
    return file_writer_commit(&w, err);
}

static int write_lists(const struct job *j, struct prepare_summary *s, struct error *err)
{
    int64_t ignored;
    int rc = write_manifest(j, "manifest.tsv", NULL, &s->without_words, err);
    for (int i = 0; i < j->list.split_count && !rc; i++) {
        char name[256];
        const char *split = j->list.splits[i];
        snprintf(name, sizeof name, "%s.tsv", split);
        if (!j->options->split || strcmp(j->options->split, split) == 0)
            rc = write_manifest(j, name, split, &ignored, err);
    }
    return rc ? rc : write_dropped(j, err);
}

static void summarise(struct prepare_summary *s, const struct job *j)
{
    s->format = j->list.format;
    s->clips = j->list.count;
    s->done = j->done;
    for (int64_t i = 0; i < j->list.count; i++) {
        const struct prepared *p = &j->known[i];
        const enum drop drop = j->list.clips[i].drop ? j->list.clips[i].drop : p->drop;
        if (drop)
            s->dropped[drop]++;
        else if (!p->known)
            s->waiting++;
        else
            s->kept++;
        for (int k = 0; k < p->count; k++) {
            s->pieces_dropped += p->outcomes[k].drop != DROP_NOT;
            s->files += !p->outcomes[k].drop;
            s->hours += p->outcomes[k].drop ? 0 : p->outcomes[k].ms / 3.6e6;
        }
    }
}

/* ---- all of it ---- */

static int check_output(const struct prepare_options *o, struct error *err)
{
    struct stat source, output;
    if (stat(o->source, &source) == 0 && stat(o->output, &output) == 0 &&
        source.st_dev == output.st_dev && source.st_ino == output.st_ino)
        return error_set(err, ERROR_USAGE, "%s: the output must be another folder than the source",
                         o->output);
    return 0;
}

static int run(struct job *j, struct prepare_summary *s, struct error *err)
{
    int rc = check_output(j->options, err);
    if (!rc)
        rc = open_list(j, err);
    if (!rc)
        rc = file_make_folder(j->work, err);
    if (!rc)
        rc = open_journal(j, err);
    if (!rc)
        rc = find_todo(j, err);
    if (!rc)
        rc = open_finders(j, err);
    if (!rc)
        rc = do_all(j, err);
    if (!rc && j->options->shards > 1)
        rc = look_up(j, err); /* other shards may have come to their end meanwhile */
    if (!rc)
        summarise(s, j);
    return rc || s->waiting ? rc : write_lists(j, s, err);
}

static void job_release(struct job *j)
{
    for (int64_t i = 0; i < j->list.count && j->known; i++)
        prepared_release(&j->known[i]);
    for (int i = 0; i < j->finder_count; i++)
        face_finder_close(j->finders[i]);
    journal_close(&j->journal);
    import_release(&j->list);
    memory_free(j->finders);
    memory_free(j->known);
    memory_free(j->keys);
    memory_free(j->todo);
    memory_free(j->work);
}

int prepare(struct prepare_summary *summary, const struct prepare_options *options,
            struct error *err)
{
    struct job j = {.options = options, .work = file_join(options->output, "work")};
    *summary = (struct prepare_summary){0};
    snprintf(j.shard, sizeof j.shard, "%d-of-%d", options->shard, options->shards);
    int rc = j.work ? run(&j, summary, err) : out_of_memory(err);
    job_release(&j);
    return rc;
}
