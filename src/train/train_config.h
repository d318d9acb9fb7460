/*
 * What `mome train CONFIG.json` reads: the model, the data, and a list of stages that run in order.
 * A stage names the parts that it trains (the others are frozen) and the losses that it descends,
 * so that pre-training of encoders, of the LLM, and the MoME stage of the paper are all the same
 * loop. Every number has a default (train_config.c); unknown keys are errors. configs/tiny.json
 * shows most.
 *
 * "start" names a model folder to go on from: one that `mome assemble` made of published parts, or
 * one trained before. "model" then holds only what shall differ from its config.json; what has the
 * same name and shape keeps its numbers, the rest starts at random.
 */
#ifndef TRAIN_TRAIN_CONFIG_H
#define TRAIN_TRAIN_CONFIG_H

#include "base/error.h"
#include "models/config.h"
#include "text/prompt.h"

#include <stdint.h>

#define TRAIN_MAX_STAGES 16
#define TRAIN_MAX_SOURCES 16
#define TRAIN_MAX_BATCH 1024
#define TRAIN_MAX_PAIR_WEIGHTS 64

enum train_part {
    TRAIN_AUDIO = 1,      /* audio encoder with its frame head */
    TRAIN_VIDEO = 2,      /* video encoder with its frame head */
    TRAIN_PROJECTORS = 4, /* all rates of both */
    TRAIN_LLM = 8,        /* with embeddings and output head */
    TRAIN_MOME = 16,      /* experts and routers */
    TRAIN_LORA = 32,      /* of the LLM, of the video encoder */
};

struct augment_config {
    double speed;    /* playing speed is drawn from 1 +- speed, sound and picture alike */
    double gain_db;  /* +- of the sound's level */
    double equalise; /* standard deviation (log10 units) of a smooth random curve over mels */
    int mel_masks;   /* at most so many masks of up to mel_mask_width mels */
    int mel_mask_width;
    int time_masks;       /* at most so many masks of up to time_mask_frames 25 fps frames */
    int time_mask_frames; /* drawn for sound and picture separately */
    double zoom, rotate;  /* +- share and +- degrees of the mouth picture */
    int shift;            /* +- pixels of the 88x88 window inside the 96x96 crop (at most 4) */
    double flip;          /* chance of a mirrored picture */
    double contrast;      /* +- share of contrast, and of brightness in units of full scale */
    int margin;           /* frames kept around the words: drawn from 0 .. margin; -1: whole clip */
    double whole;         /* chance of the whole clip all the same */
};

/* The weight of one rate pair's loss; a rate 0: the task lacks that modality. */
struct pair_weight {
    int audio_rate, video_rate;
    double weight;
};

struct stage_config {
    char name[32];
    unsigned parts; /* enum train_part, or-ed: what is trained */
    int64_t steps;
    int batch;      /* clips a step, at most */
    int64_t frames; /* of them together (at 25 fps), at most, but for the first; 0: any number */
    double rate, warmup, decay; /* AdamW: peak learning rate, share of steps of warm-up, decay */
    double beta1, beta2, clip;  /* moments; largest gradient norm */
    double final_rate;          /* the cosine ends at this share of the peak */
    double frame_weight[2];     /* auxiliary frame loss: from, to (linearly over the stage) */
    double text_weight;         /* cross-entropy of the transcript; 0: the LLM is not run */
    double align_weight[2];     /* alignment loss of the projectors (train/alignment): from, to */
    double text_noise;          /* share of the transcript's tokens that the LLM is fed wrong: it
                                   must listen, not guess on */
    double load_balance;        /* weight of L_B (section 3; paper: 0.01) */
    double smoothing;           /* label smoothing of the transcript */
    double task_share[3];       /* chance that a clip is used for ASR, VSR, AVSR in a step */
    double task_weight[3];      /* weight of each task's loss */
    int pairs; /* rate pairs drawn for each clip and task in a step; 0: all of the model's */
    struct pair_weight pair_weights[TRAIN_MAX_PAIR_WEIGHTS]; /* c_ij; 1 where not listed */
    int pair_weight_count;
    int copies; /* each clip is augmented in so many fixed ways, and what frozen encoders make of
                   them is kept on disk (train/features_cache); 0: anew in every step */
    double noise_share[2];       /* share of noisy clips: from, to over the first noise_ramp */
    double snr_low[2], snr_high; /* dB; lowest SNR: from, to over the first noise_ramp */
    double noise_ramp;           /* share of the stage's steps */
    struct augment_config augment;
    int accumulate; /* a step is computed in so many parts, one after the other: less memory */
    int64_t validate_every; /* steps; 0: only at the stage's end */
    int average; /* at its end the stage takes the mean of its last so many validated weights
                    (train/average); 0: the last alone */
};

struct source_config {
    char *manifest; /* path, relative to the working folder */
    double weight;  /* how often its clips are drawn, relative to others' */
    double splice;  /* chance that a word is taken from another clip of this source (same place in
                       a sentence of as many words): for one speaker, one grammar (train/excerpt) */
};

struct train_config {
    uint64_t seed;
    char *start;          /* model folder to go on from; NULL: from random weights */
    char *output;         /* folder of checkpoints, log and the model */
    char *cache;          /* folder for decoded clips */
    char *noise;          /* babble mixed into training clips; NULL: none */
    char *validation;     /* manifest */
    int vocabulary;       /* tokens to train, specials included */
    int validation_clips; /* at most so many, taken evenly */
    bool bf16;            /* products in bf16, masters in f32 */
    double save_seconds;  /* between checkpoints */
    double memory_gb;     /* what would take more keeps less, and computes it again (10^9 bytes of
                             weights, gradients, moments, activations); 0: no limit */
    struct recognizer_config model;
    int source_count, stage_count;
    struct source_config sources[TRAIN_MAX_SOURCES];
    struct stage_config stages[TRAIN_MAX_STAGES];
};

int train_config_read(struct train_config *config, const char *path, struct error *err);
/* The parts of a stage that gradients through an encoder are for: its own, and its LoRA. */
unsigned train_config_through(const struct recognizer_config *model, bool audio);
/* Whether a stage has no loss but the frame loss. */
bool train_config_frames_only(const struct stage_config *stage);
void train_config_release(struct train_config *config);

#endif
