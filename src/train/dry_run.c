#include "train/dry_run.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "eval/cost.h"
#include "text/manifest.h"
#include "text/tokenizer.h"
#include "train/learner.h"

#include <errno.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    CLIPS = 16, /* read of each source */
    DRAWN = 16, /* steps whose content is looked at */
    STEPS = 3   /* made; the first warms caches up and is not timed */
};

struct probe {
    struct dry_run *report;
    const struct train_config *config; /* as given */
    struct train_config mine;          /* with the sampled manifests, borrowing the rest */
    const struct dataset_progress *progress;
    char folder[64]; /* for what the run would write; removed */
    char *manifests[TRAIN_MAX_SOURCES];
    const char **texts; /* [text_count] of all clips, for the tokenizer */
    int64_t text_count;
    struct learner learner;
};

/* ---- some clips of each source ----------------------------------------------------------- */

static void write_entry(FILE *to, const struct manifest_entry *e)
{
    char *path = realpath(e->path, NULL);
    fprintf(to, "%s\t%s\t", path ? path : e->path, e->text);
    for (int i = 0; i < e->word_count; i++)
        fprintf(to, "%s%s:%d:%d", i ? " " : "", e->words[i].text, e->words[i].start_ms,
                e->words[i].end_ms);
    fputc('\n', to);
    free(path);
}

static int write_sample(struct probe *p, int source, const struct manifest *m, struct error *err)
{
    char name[32];
    struct file_writer w;
    snprintf(name, sizeof name, "%d.tsv", source);
    p->manifests[source] = file_join(p->folder, name);
    if (!p->manifests[source])
        return error_set(err, ERROR_MEMORY, "out of memory");
    int rc = file_writer_open(&w, p->manifests[source], err);
    if (rc)
        return rc;
    fputs("path\ttext\twords_ms\n", w.stream);
    int64_t count = m->count < CLIPS ? m->count : CLIPS;
    for (int64_t i = 0; i < count; i++)
        write_entry(w.stream, &m->entries[i * m->count / count]);
    p->mine.sources[source].manifest = p->manifests[source];
    return file_writer_commit(&w, err);
}

static int add_texts(struct probe *p, const struct manifest *m, struct error *err)
{
    const char **texts = memory_new((size_t)(p->text_count + m->count), sizeof *texts);
    if (!texts)
        return error_set(err, ERROR_MEMORY, "out of memory");
    if (p->text_count)
        memcpy(texts, p->texts, (size_t)p->text_count * sizeof *texts);
    for (int64_t i = 0; i < m->count; i++)
        texts[p->text_count++] = m->entries[i].text;
    memory_free(p->texts);
    p->texts = texts;
    return 0;
}

/* The manifests' sizes, samples of them, and the tokenizer of all their texts. */
static int sample_sources(struct probe *p, struct error *err)
{
    struct manifest manifests[TRAIN_MAX_SOURCES] = {0};
    struct tokenizer *tokenizer = NULL;
    int rc = 0;
    for (int s = 0; !rc && s < p->config->source_count; s++) {
        rc = manifest_load(&manifests[s], p->config->sources[s].manifest, NULL, NULL, err);
        if (!rc)
            rc = write_sample(p, s, &manifests[s], err);
        if (!rc)
            rc = add_texts(p, &manifests[s], err);
    }
    p->report->clips = p->text_count;
    if (!rc && !p->config->start)
        rc = learner_make_tokenizer(&tokenizer, p->config, p->texts, p->text_count, p->folder, err);
    tokenizer_free(tokenizer);
    for (int s = 0; s < p->config->source_count; s++)
        manifest_release(&manifests[s]);
    return rc;
}

/* ---- what is counted --------------------------------------------------------------------- */

static void count_parts(struct probe *p)
{
    static const struct {
        const char *prefix, *name;
    } names[] = {{"audio.", "audio encoder"},
                 {"video.", "video encoder"},
                 {"projector.audio.", "audio projectors"},
                 {"projector.video.", "video projectors"},
                 {"projector.tokens.", "added tokens"},
                 {"llm.", "LLM"},
                 {"mome.", "MoME experts"},
                 {"lora.", "LoRA of the LLM"},
                 {"video_lora.", "LoRA of the video encoder"},
                 {"", "frame heads"}};
    enum { NAMES = sizeof names / sizeof *names };
    _Static_assert((int)NAMES <= (int)DRY_MOST_PARTS, "room for all parts");
    struct dry_run *r = p->report;
    for (int n = 0; n < NAMES; n++) {
        struct dry_part part = {.name = names[n].name};
        for (int64_t i = 0; i < p->learner.params.count; i++) {
            const struct param_entry *e = &p->learner.params.entries[i];
            const struct tensor *t = e->tensor;
            int first = 0;
            while (strncmp(e->name, names[first].prefix, strlen(names[first].prefix)))
                first++;
            if (first != n)
                continue;
            part.parameters += param_trains(e->kind) ? tensor_count(t) : 0;
            part.bytes += (double)dtype_bytes(t->stored ? t->dtype : DTYPE_F32, tensor_count(t));
            part.part |= learner_part(e);
            r->checkpoint_bytes += t->borrowed ? 0 : 4.0 * (double)tensor_count(t);
            r->model_bytes += t->borrowed || n == NAMES - 1 ? 0 : 2.0 * (double)tensor_count(t);
        }
        if (part.parameters)
            r->parts[r->part_count++] = part;
    }
}

static double text_tokens(const struct tokenizer *t, const char *text)
{
    struct error ignored;
    int32_t *ids = memory_new(tokenizer_room(t, strlen(text)), sizeof *ids);
    int64_t count = ids ? tokenizer_encode(t, ids, text, strlen(text), &ignored) : 0;
    memory_free(ids);
    return count > 0 ? (double)count : 0;
}

static void measure_clips(struct probe *p)
{
    struct dry_run *r = p->report;
    const struct recognizer *model = p->learner.recognizer;
    const struct projector_config *c = &model->config.projector;
    const int count = p->learner.dataset.count;
    double frames = 0, bytes = 0;
    r->probed = count;
    for (int i = 0; i < count; i++) {
        const struct sample *s = &p->learner.dataset.samples[i];
        frames += (double)sample_frames(s) / count;
        bytes += (4.0 * (double)s->clip.samples + (double)s->clip.frames * MOUTH_PIXELS) / count;
        r->text_tokens += text_tokens(model->tokenizer, s->text) / count;
    }
    r->clip_seconds = frames * FRAME_MS / 1000;
    r->clips_bytes = bytes * (double)r->clips;
    const bool sound = model->config.has_audio, face = model->config.has_video;
    const struct request empty = {.task = sound && face ? TASK_AVSR
                                          : sound       ? TASK_ASR
                                                        : TASK_VSR,
                                  .audio_rate = 1,
                                  .video_rate = 1};
    r->prompt_tokens = (double)recognizer_request_rows(model, &empty, NULL);
    for (int i = 0; sound && i < c->audio_rate_count; i++)
        r->rates[r->rate_count++] =
            (struct dry_rate){false, c->audio_rates[i], 2 * frames / c->audio_rates[i]};
    for (int i = 0; face && i < c->video_rate_count; i++)
        r->rates[r->rate_count++] =
            (struct dry_rate){true, c->video_rates[i], frames / c->video_rates[i]};
}

/* ---- what steps consist of --------------------------------------------------------------- */

/* How often a product is computed in a step: forward, for what goes in, for its weights. */
static double passes(const struct stage_config *stage, unsigned part, unsigned before)
{
    return 1 + ((stage->parts & before) != 0) + ((stage->parts & part) != 0);
}

static double encoder_flops(const struct learner *l, const struct draw *d)
{
    const struct recognizer_config *c = &l->recognizer->config;
    const struct stage_config *stage = l->stage;
    bool states = !train_config_frames_only(stage);
    int64_t frames = sample_frames(d->sample);
    bool sound = c->has_audio && d->sample->clip.has_sound &&
                 !(l->features.streams & EXCERPT_SOUND) && (states || stage->parts & TRAIN_AUDIO);
    bool face = c->has_video && d->sample->clip.has_face &&
                !(l->features.streams & EXCERPT_PICTURES) && (states || stage->parts & TRAIN_VIDEO);
    int64_t mel_rows = c->audio.exact_window ? 2 * c->audio.positions : 4 * frames;
    double sum = 0; /* the gradient of pictures or mels is nobody's: about a product each less */
    if (sound)
        sum += cost_audio_encoder(c, mel_rows) * (stage->parts & TRAIN_AUDIO ? 3 : 1);
    if (face)
        sum += cost_video_encoder(c, frames) * (stage->parts & TRAIN_VIDEO ? 3 : 1);
    return sum;
}

static double projector_flops(const struct learner *l, const struct draw *d, int ask)
{
    const struct recognizer_config *c = &l->recognizer->config;
    const int rates[2] = {d->asks[ask].audio_rate, d->asks[ask].video_rate};
    const unsigned before[2] = {TRAIN_AUDIO, TRAIN_VIDEO | TRAIN_LORA};
    double sum = 0;
    for (int m = 0; m < 2; m++)
        if (rates[m] && !draw_asked_before(d, ask, m)) {
            int64_t tokens = sample_frames(d->sample) * (m ? 1 : 2) / rates[m];
            sum += cost_projector(c, m, rates[m], tokens) *
                   passes(l->stage, TRAIN_PROJECTORS, before[m]);
        }
    return sum;
}

static double draw_flops(const struct learner *l, const struct draw *d, double *all_rows)
{
    const unsigned before = TRAIN_AUDIO | TRAIN_VIDEO | TRAIN_PROJECTORS | TRAIN_MOME | TRAIN_LORA;
    double sum = encoder_flops(l, d);
    int64_t frames = sample_frames(d->sample);
    int text = (int)text_tokens(l->recognizer->tokenizer, d->sample->text);
    for (int i = 0; l->stage->text_weight > 0 && i < d->ask_count; i++) {
        const struct ask *ask = &d->asks[i];
        const struct request q = {.task = ask->task,
                                  .audio_rate = ask->audio_rate,
                                  .video_rate = ask->video_rate,
                                  .audio = {0, 2 * frames},
                                  .video = {0, frames},
                                  .text_count = text};
        int64_t rows = recognizer_request_rows(l->recognizer, &q, NULL);
        const struct llm_work work = {rows, rows * (rows + 1) / 2, text + 1};
        sum += cost_llm(&l->recognizer->config, &work) * passes(l->stage, TRAIN_LLM, before);
        sum += projector_flops(l, d, i);
        *all_rows += (double)rows;
    }
    return sum;
}

static void draw_steps(struct probe *p, struct dry_stage *s)
{
    struct learner *l = &p->learner;
    struct random random;
    random_seed(&random, p->config->seed);
    for (int i = 0; i < DRAWN; i++) {
        int clips = draw_step(l->draws, &l->dataset, &p->mine, l->stage, &random);
        double rows = 0;
        s->clips += (double)clips / DRAWN;
        for (int k = 0; k < clips; k++)
            s->flops += draw_flops(l, &l->draws[k], &rows) / DRAWN;
        s->rows += rows / DRAWN;
    }
    s->steps_an_epoch = (double)p->report->clips / s->clips;
}

/* ---- what is measured -------------------------------------------------------------------- */

static void measure_features(const struct probe *p, struct dry_stage *s, double seconds)
{
    const struct features_cache *f = &p->learner.features;
    double all = (double)p->report->clips, frames = p->report->clip_seconds * 1000 / FRAME_MS;
    for (int m = 0; m < 2; m++)
        if (f->streams & (m ? EXCERPT_PICTURES : EXCERPT_SOUND))
            s->features_bytes += all * (f->touched[m] ? p->learner.stage->copies : 1) * frames *
                                 (m ? 1 : 2) * (double)f->width[m] * 2;
    if (f->streams)
        s->features_seconds = seconds * all / p->report->probed;
}

static int probe_stage(struct probe *p, int index, struct error *err)
{
    struct learner *l = &p->learner;
    struct dry_stage *s = &p->report->stages[p->report->stage_count++];
    struct step_report step;
    const struct stage_config *stage = &p->config->stages[index];
    *s = (struct dry_stage){.name = stage->name, .parts = stage->parts, .steps = stage->steps};
    int rc = learner_choose(l, index, err);
    double began = clock_seconds();
    if (!rc)
        rc = learner_prepare(l, p->progress, err);
    if (rc)
        return rc;
    measure_features(p, s, clock_seconds() - began);
    draw_steps(p, s);
    for (int64_t i = 0; i < l->params.count; i++)
        if (l->params.entries[i].tensor->grad)
            s->trained += tensor_count(l->params.entries[i].tensor);
    s->gradient_bytes = 4 * (double)l->gradients.count;
    s->moment_bytes = 8 * (double)s->trained;
    l->arena.peak = 0;
    for (int i = 0; !rc && i < STEPS; i++) {
        began = clock_seconds();
        rc = learner_step(l, i, &step, err);
        s->recomputed += rc ? 0 : step.recomputed / STEPS;
        if (i > 0)
            s->seconds += (clock_seconds() - began) / (STEPS - 1);
        int done = index * STEPS + i + 1, total = p->config->stage_count * STEPS;
        if (!rc && p->progress->report(p->progress->arg, done, total, NULL))
            rc = error_set(err, ERROR_CANCELLED, "stopped");
    }
    s->activation_bytes = (double)l->arena.peak;
    return rc;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static int make_folder(struct probe *p, struct error *err)
{
    const char *where = getenv("TMPDIR");
    int n = snprintf(p->folder, sizeof p->folder, "%s/mome-dry-run-XXXXXX", where ? where : "/tmp");
    if (n >= (int)sizeof p->folder)
        snprintf(p->folder, sizeof p->folder, "/tmp/mome-dry-run-XXXXXX");
    if (!mkdtemp(p->folder)) {
        int rc = error_set(err, ERROR_IO, "%s: %s", p->folder, strerror(errno));
        p->folder[0] = 0;
        return rc;
    }
    return 0;
}

static int probe_all(struct probe *p, struct error *err)
{
    struct distributed alone = {.ranks = 1};
    struct rusage usage;
    double moments = 0;
    int rc = sample_sources(p, err);
    if (!rc)
        rc = learner_init(&p->learner, &p->mine, &alone, p->folder, true, p->progress, err);
    if (rc)
        return rc;
    p->mine.cache = p->folder; /* features of a few clips are not the run's */
    count_parts(p);
    measure_clips(p);
    for (int s = 0; !rc && s < p->config->stage_count; s++) {
        rc = probe_stage(p, s, err);
        double bytes = p->report->stages[s].moment_bytes;
        moments = bytes > moments ? bytes : moments;
    }
    p->report->checkpoint_bytes += moments;
    getrusage(RUSAGE_SELF, &usage);
    p->report->peak_bytes = 1024.0 * (double)usage.ru_maxrss;
    return rc;
}

int dry_run(struct dry_run *report, const struct train_config *config,
            const struct dataset_progress *progress, struct error *err)
{
    struct probe p = {.report = report, .config = config, .mine = *config, .progress = progress};
    *report = (struct dry_run){0};
    int rc = make_folder(&p, err);
    if (!rc)
        rc = probe_all(&p, err);
    learner_release(&p.learner);
    for (int s = 0; s < config->source_count; s++)
        memory_free(p.manifests[s]);
    memory_free(p.texts);
    if (p.folder[0])
        nftw(p.folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    return rc;
}
