/* Examples from clips of known content: whatever is cut, spliced, sped up, the sound, the mouth,
   the labels and the tokens must go on saying the same words at the same time. */
#include "mouth_clips.h"
#include "base/file.h"
#include "base/memory.h"
#include "text/token_words.h"
#include "train/augment.h"
#include "train/excerpt.h"

static struct train_config config;
static struct dataset dataset;
static struct tokenizer *tokenizer;
static struct logmel *logmel;
static struct error err;
static int notes;

static int count_notes(void *arg, int done, int total, const char *note)
{
    (void)arg;
    (void)done;
    (void)total;
    notes += note != NULL;
    return 0;
}

static int load(struct dataset *d)
{
    const struct dataset_progress progress = {count_notes, NULL};
    notes = 0;
    return dataset_load(d, &config, &progress, &err);
}

static int open_all(void **state)
{
    (void)state;
    char path[128];
    mouth_clips_make(&clips);
    snprintf(path, sizeof path, "%s/cache", clips.folder);
    config_default(&config.model);
    config.cache = memory_strdup(path);
    config.source_count = 1;
    config.sources[0] =
        (struct source_config){.manifest = memory_strdup(clips.manifest), .weight = 1};
    if (load(&dataset))
        fail_msg("%s", err.message);
    snprintf(path, sizeof path, "%s/text.txt", clips.folder);
    assert_int_equal(file_write(path, "red green blue white\n", 21, &err), 0);
    assert_int_equal(tokenizer_train(&tokenizer, path, NULL, &err), 0);
    return logmel_new(&logmel, 80, &err);
}

static int close_all(void **state)
{
    (void)state;
    dataset_release(&dataset);
    train_config_release(&config);
    tokenizer_free(tokenizer);
    logmel_free(logmel);
    mouth_clips_remove(&clips);
    return 0;
}

/* ---- what a frame shows and sounds like ---- */

/* The word whose mouth this is: by the dark ellipse's area, pi * height * width / 4. */
static int seen_word(const uint8_t *mouth)
{
    static const double areas[5] = {4 * 26, 8 * 18, 17 * 18, 8 * 32, 17 * 32}; /* rest, 0 .. 3 */
    int dark = 0, nearest = 0;
    for (int i = 0; i < MOUTH_PIXELS; i++)
        dark += mouth[i] < 105;
    for (int i = 1; i < 5; i++)
        if (fabs(dark - 3.14159 * areas[i]) < fabs(dark - 3.14159 * areas[nearest]))
            nearest = i;
    return nearest - 1;
}

/* By the zero crossings of 40 ms; factor: playing speed. */
static int heard_word(const float *pcm, double factor)
{
    int crossings = 0;
    double energy = 0;
    for (int i = 1; i < FRAME_SAMPLES; i++) {
        crossings += (pcm[i] > 0) != (pcm[i - 1] > 0);
        energy += pcm[i] * pcm[i];
    }
    if (energy < 0.5)
        return -1;
    return (int)lrint(crossings * 3.14159 / FRAME_SAMPLES / 0.15 / factor) - 1;
}

static int label_word(int32_t label)
{
    for (int w = 0; w < 4 && label > 0; w++)
        if (!strcmp(dataset.labels[label], mouth_clip_words[w]))
            return w;
    return -1;
}

/* Frames whose whole 40 ms lie in one word must show it and sound like it. */
static void check_excerpt(const struct excerpt *x, double factor)
{
    int checked = 0;
    for (int w = 0; w < x->word_count; w++) {
        const struct timed_word *word = &x->words[w];
        assert_string_equal(word->text, dataset.labels[word->label]);
        for (int64_t f = 0; f < x->frames; f++) {
            /* a frame's distance from the word's ends: codecs smear, speeds round */
            if (f * 40 < word->start_ms + 45 || f * 40 + 40 > word->end_ms - 45)
                continue;
            assert_int_equal(heard_word(x->pcm + f * FRAME_SAMPLES, factor),
                             label_word(word->label));
            assert_int_equal(seen_word(x->mouth + f * MOUTH_PIXELS), label_word(word->label));
            checked++;
        }
    }
    assert_true(checked >= 4);
}

static void test_words_stay_with_sound_and_lips(void **state)
{
    (void)state;
    const struct augment_config augment = {.margin = 3, .whole = 0.2};
    int spliced = 0;
    for (uint64_t seed = 0; seed < 40; seed++) {
        struct excerpt x;
        struct random random;
        random_seed(&random, seed);
        const struct sample *sample = dataset_draw(&dataset, &random);
        double splice = seed % 2 ? 1 : 0, factor = 0.8 + 0.01 * (double)seed;
        assert_int_equal(excerpt_make(&x, &dataset, sample, EXCERPT_SOUND | EXCERPT_PICTURES,
                                      splice, &augment, &random, &err),
                         0);
        assert_int_equal(x.word_count, 2);
        for (int w = 0; w < 2; w++)
            spliced += strcmp(x.words[w].text, sample->words[w].text) != 0;
        check_excerpt(&x, 1);
        int64_t frames = x.frames;
        assert_int_equal(excerpt_change_speed(&x, factor, &err), 0);
        assert_int_equal(x.frames, (int64_t)((double)frames / factor));
        check_excerpt(&x, factor);
        excerpt_release(&x);
    }
    assert_true(spliced > 10);
}

static struct augment augment_of(void)
{
    return (struct augment){.dataset = &dataset,
                            .config = &config,
                            .tokenizer = tokenizer,
                            .logmel = logmel,
                            .mels = 80};
}

static struct example make(const struct sample *sample, const struct stage_config *stage,
                           uint64_t seed)
{
    struct example e;
    struct random random;
    const struct augment augment = augment_of();
    random_seed(&random, seed);
    if (augment_example(&e, &augment, sample, EXCERPT_SOUND | EXCERPT_PICTURES, stage, 0, &random,
                        &err))
        fail_msg("%s", err.message);
    return e;
}

/* Nothing random: the whole clip, its labels at the centre of each 20 and 40 ms, the middle 88x88.
 */
static void test_plain_example(void **state)
{
    (void)state;
    const struct stage_config stage = {.steps = 10, .augment = {.margin = -1, .whole = 1}};
    for (int i = 0; i < 4; i++) {
        const struct sample *s = &dataset.samples[i];
        struct example e = make(s, &stage, 1);
        assert_int_equal(e.frames, sample_frames(s));
        for (int f = 0; f < MOUTH_CLIP_FRAMES; f++) {
            assert_int_equal(label_word(e.video_label[f]), mouth_clip_word(i, f));
            assert_int_equal(label_word(e.audio_label[2 * f]), mouth_clip_word(i, f));
            assert_int_equal(label_word(e.audio_label[2 * f + 1]), mouth_clip_word(i, f));
        }
        for (int row = 0; row < 88; row += 29)
            for (int column = 0; column < 88; column += 29) {
                double pixel = s->clip.mouth[(row + 4) * 96 + column + 4];
                assert_float_equal(e.pictures[row * 88 + column], (pixel / 255 - 0.421) / 0.165,
                                   1e-4);
            }
        struct strbuf text;
        strbuf_init(&text, 1000);
        tokenizer_decode(tokenizer, &text, e.ids, e.id_count);
        assert_string_equal(text.data, s->text);
        strbuf_release(&text);
        example_release(&e);
    }
}

static const struct stage_config wild = {.steps = 10,
                                         .noise_share = {1, 1},
                                         .augment = {.speed = 0.2,
                                                     .gain_db = 6,
                                                     .equalise = 0.3,
                                                     .mel_masks = 2,
                                                     .mel_mask_width = 10,
                                                     .time_masks = 2,
                                                     .time_mask_frames = 4,
                                                     .zoom = 0.1,
                                                     .rotate = 5,
                                                     .shift = 4,
                                                     .flip = 0.5,
                                                     .contrast = 0.2,
                                                     .margin = 3,
                                                     .whole = 0.3}};

static bool same_example(const struct example *a, const struct example *b)
{
    return a->frames == b->frames && a->id_count == b->id_count &&
           !memcmp(a->ids, b->ids, (size_t)a->id_count * sizeof *a->ids) &&
           !memcmp(a->mel, b->mel, (size_t)a->frames * 4 * 80 * sizeof(float)) &&
           !memcmp(a->pictures, b->pictures, (size_t)a->frames * 88 * 88 * sizeof(float)) &&
           !memcmp(a->video_label, b->video_label, (size_t)a->frames * sizeof(int32_t)) &&
           !memcmp(a->audio_label, b->audio_label, (size_t)a->frames * 2 * sizeof(int32_t));
}

static void test_seed_decides(void **state)
{
    (void)state;
    config.sources[0].splice = 0.5;
    int different = 0;
    for (uint64_t seed = 0; seed < 6; seed++) {
        struct example a = make(&dataset.samples[seed % 4], &wild, seed);
        struct example b = make(&dataset.samples[seed % 4], &wild, seed);
        struct example c = make(&dataset.samples[seed % 4], &wild, seed + 100);
        assert_true(same_example(&a, &b));
        different += !same_example(&a, &c);
        for (int64_t i = 0; i < a.frames * 4 * 80; i++)
            assert_true(isfinite(a.mel[i]));
        example_release(&a);
        example_release(&b);
        example_release(&c);
    }
    assert_int_equal(different, 6);
    config.sources[0].splice = 0;
}

/* The tokens of a spliced example are the words that its labels name, in order. */
static void test_tokens_are_the_labels_words(void **state)
{
    (void)state;
    config.sources[0].splice = 1;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct example e = make(&dataset.samples[seed % 4], &wild, seed);
        struct strbuf named, said;
        strbuf_init(&named, 1000);
        strbuf_init(&said, 1000);
        for (int64_t i = 0; i < e.frames * 2; i++)
            if (e.audio_label[i] > 0 && (i == 0 || e.audio_label[i] != e.audio_label[i - 1]))
                strbuf_addf(&named, "%s%s", named.length ? " " : "",
                            dataset.labels[e.audio_label[i]]);
        tokenizer_decode(tokenizer, &said, e.ids, e.id_count);
        /* a word twice running is one run of labels */
        char twice[64];
        snprintf(twice, sizeof twice, "%s %s", named.data, named.data);
        assert_true(!strcmp(said.data, named.data) || !strcmp(said.data, twice));
        strbuf_release(&named);
        strbuf_release(&said);
        example_release(&e);
    }
    config.sources[0].splice = 0;
}

/* Tokens have the time of the word that they spell, cut, spliced and played at any speed: labels of
   frames, made from the same words, say that word there. */
static void test_tokens_have_their_words_times(void **state)
{
    (void)state;
    config.sources[0].splice = 0.5;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct example e = make(&dataset.samples[seed % 4], &wild, seed);
        struct token_word *words;
        struct strbuf said;
        assert_non_null(e.times);
        strbuf_init(&said, 1000);
        int count = token_words(&words, &said, tokenizer, e.ids, e.id_count, &err);
        assert_in_range(count, 1, e.id_count);
        for (int w = 0; w < count; w++) {
            double start = e.times[words[w].first].start, end = e.times[words[w].last].end;
            assert_true(start < end && end <= (double)e.frames * FRAME_MS + FRAME_MS);
            for (int k = words[w].first; k < words[w].last; k++)
                assert_float_equal(e.times[k].end, e.times[k + 1].start, 1e-6);
            int64_t middle = (int64_t)((start + end) / 2 / FRAME_MS);
            const char *label = dataset.labels[e.video_label[middle]];
            assert_int_equal(strlen(label), words[w].to - words[w].from);
            assert_memory_equal(label, said.data + words[w].from, strlen(label));
        }
        memory_free(words);
        strbuf_release(&said);
        example_release(&e);
    }
    config.sources[0].splice = 0;
}

/* Slow playing and long words of others never pass what the encoder takes. */
static void test_examples_fit_the_encoder(void **state)
{
    (void)state;
    const struct stage_config slow = {.steps = 10,
                                      .augment = {.speed = 0.5, .margin = -1, .whole = 1}};
    int positions = config.model.audio.positions;
    config.model.audio.positions = 72; /* 36 frames */
    config.sources[0].splice = 0.5;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct example e = make(&dataset.samples[seed % 4], &slow, seed);
        assert_in_range(e.frames, 1, 36);
        example_release(&e);
    }
    config.sources[0].splice = 0;
    config.model.audio.positions = 40; /* 20 frames: no clip fits, each is told of */
    struct dataset none;
    assert_int_equal(load(&none), ERROR_FORMAT);
    assert_int_equal(notes, 4);
    config.model.audio.positions = positions;
}

static void test_drawing(void **state)
{
    (void)state;
    struct random random;
    int drawn[4] = {0};
    random_seed(&random, 1);
    for (int i = 0; i < 400; i++)
        drawn[dataset_draw(&dataset, &random) - dataset.samples]++;
    for (int i = 0; i < 4; i++)
        assert_in_range(drawn[i], 60, 140);
    assert_int_equal(dataset.label_count, 5);
    assert_string_equal(dataset.labels[0], "");
    assert_string_equal(dataset.labels[1], "blue");
    assert_string_equal(dataset.labels[4], "white");
}

/* The encoder's whole window: the sound's log-mel as it is, but for the frame that is reflected at
   its end, then silence at the floor. */
static void test_exact_window(void **state)
{
    (void)state;
    enum { MELS = 80, POSITIONS = 200 };
    const struct stage_config plain = {.steps = 10, .augment = {.whole = 1}};
    struct whisper_config *audio = &config.model.audio, before = *audio;
    struct example trim = make(&dataset.samples[0], &plain, 1);
    audio->exact_window = true;
    audio->positions = POSITIONS;
    struct example exact = make(&dataset.samples[0], &plain, 1);
    *audio = before;
    int64_t sound = 4 * exact.frames;
    assert_int_equal(exact.frames, trim.frames);
    assert_int_equal(trim.mel_rows, sound);
    assert_int_equal(exact.mel_rows, 2 * POSITIONS);
    for (int64_t i = 0; i < (sound - 1) * MELS; i++)
        assert_float_equal(exact.mel[i], trim.mel[i], 1e-6);
    float floor = exact.mel[2 * POSITIONS * MELS - 1];
    for (int64_t i = (sound + 2) * MELS; i < 2 * POSITIONS * MELS; i++)
        assert_true(exact.mel[i] == floor);
    for (int64_t i = 0; i < sound * MELS; i++)
        assert_true(exact.mel[i] >= floor);
    example_release(&trim);
    example_release(&exact);
}

/* A model without lips does not read pictures. */
static void test_streams_of_the_model_alone(void **state)
{
    (void)state;
    struct dataset d;
    config.model.has_video = false;
    assert_int_equal(load(&d), 0);
    for (int i = 0; i < d.count; i++)
        assert_true(d.samples[i].clip.has_sound && !d.samples[i].clip.has_face);
    dataset_release(&d);
    config.model.has_video = true;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_drawing),
        cmocka_unit_test(test_words_stay_with_sound_and_lips),
        cmocka_unit_test(test_plain_example),
        cmocka_unit_test(test_seed_decides),
        cmocka_unit_test(test_tokens_are_the_labels_words),
        cmocka_unit_test(test_tokens_have_their_words_times),
        cmocka_unit_test(test_examples_fit_the_encoder),
        cmocka_unit_test(test_exact_window),
        cmocka_unit_test(test_streams_of_the_model_alone),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
