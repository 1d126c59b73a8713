/* Fleetcast's receiver as a C library: datagrams and time in, verified images out. C99 and C++11.
 *
 * The caller owns sockets, clock and storage. The library opens nothing, starts no thread, has no global state, and calls back only during a call of
 * the caller. Rule ids in brackets, such as [I-1], cite spec/protocol.md.
 *
 *   1. Fill an fc_config, with the functions of an fc_storage, and create a receiver. What an earlier run has received is found again.
 *   2. Give it each datagram of the group (fc_receiver_datagram), and call fc_receiver_tick about once a second.
 *   3. When fc_receiver_info says FC_PHASE_COMPLETE, call fc_receiver_prove until it returns FC_OK. Only then is the image whole and right.
 *   4. Install it: fc_receiver_start_trial, then put the image in place, then fc_receiver_commit once it has shown that it runs; or fc_receiver_give_up.
 *
 * Threads: a receiver may be used by any thread, by one at a time. A call that meets another on the same receiver, or that is made from one of its own
 * storage functions, returns FC_ERR_BUSY and does nothing. Different receivers have nothing in common. fc_receiver_destroy must not meet any other call.
 *
 * Memory: what is handed in is copied, or used only until the call returns. What storage functions are given is theirs only until they return. A receiver takes
 * staging * max_packet octets, and while it receives one bit a chunk and 256 to 512 KiB for pages; fc_receiver_prove 4 MiB and the tables of the erasure code, if it
 * restores chunks.
 *
 * Pointers must be what is said of them: null ones and wrong lengths are FC_ERR_ARGUMENT as far as they can be told. Storage functions must return: no exception
 * and no longjmp may leave them. A defect in the library ends the program in release builds (panic = abort), and is FC_ERR_INTERNAL in others. */
#ifndef FLEETCAST_H
#define FLEETCAST_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Version of this interface. It grows only when something here changes its meaning or place; compare with fc_abi_version(). */
#define FC_ABI_VERSION 1u

/* Octets of a code (a word of section 12 of the specification, such as "chunk-digest") and of a name, with the zero behind it. */
#define FC_CODE_SIZE 24
#define FC_NAME_SIZE 40

/* What functions return: 0, or above 0 for what is no failure, or below 0. */
typedef int32_t fc_status;
enum {
    FC_OK = 0,
    FC_END = 1,            /* There is no such entry. */
    FC_WAIT = 2,           /* The release may not be installed yet [M-10, B-8]. */
    FC_MISMATCH = 3,       /* What is stored did not read back right; what is wrong is received again. */
    FC_ERR_ARGUMENT = -1,  /* An argument is missing or out of range. Nothing has changed. */
    FC_ERR_ABI = -2,       /* A struct_size is not that of this library: header and library differ. Nothing has changed. */
    FC_ERR_BUSY = -3,      /* The receiver is in use. Nothing has changed. */
    FC_ERR_PHASE = -4,     /* The call does not fit the phase. Nothing has changed. */
    FC_ERR_STORAGE = -5,   /* A storage function failed, or what is stored was wrong three times. Destroy, and create anew: all of it is checked again then. */
    FC_ERR_DAMAGED = -6,   /* The kept record is damaged. Its floors are lost, so nothing is received; to remove it is to let older releases in. */
    FC_ERR_TRUST = -7,     /* Keys that are none, weak, doubled, or fewer than the threshold; a root that its keys have not signed, or another vendor's. */
    FC_ERR_INTERNAL = -8   /* A defect in the library. Destroy, and create anew. */
};

/* Where a receiver is with its releases. */
enum {
    FC_PHASE_IDLE = 0,      /* No release is being received. */
    FC_PHASE_RECEIVING = 1, /* One is. */
    FC_PHASE_COMPLETE = 2,  /* Enough of it is there. Datagrams still count: a newer one may take its place. */
    FC_PHASE_PROVEN = 3,    /* It has read back as its manifest says. Datagrams are passed over until it is decided on. */
    FC_PHASE_TRIAL = 4      /* A release is installed and not committed; no other is taken [I-6]. Restarts do not end this. */
};

/* Small items that are kept whole, at most 64 KiB each. */
enum {
    FC_ITEM_RECORD = 0,    /* What the device remembers of its releases: without it an older release may be taken again [M-7]. */
    FC_ITEM_STATEMENT = 1, /* The manifest of the release being received. */
    FC_ITEM_ROOTS = 2,     /* Roots that have followed [K-7]. */
    FC_ITEM_BEACON = 3     /* The newest beacon [B-9]; fc_receiver_tick writes it at most once a minute. */
};

/* Large areas of a target. */
enum {
    FC_AREA_IMAGE = 0,  /* The image being received: never the one that runs [I-5]. */
    FC_AREA_SCRATCH = 1 /* Pages and repair chunks; of no use once the image is proven. */
};

/* What has happened. */
enum {
    FC_EVENT_BEGIN = 0,      /* Release `number` is being received from now on. */
    FC_EVENT_RESUMED = 1,    /* It is gone on with after a restart. */
    FC_EVENT_COMPLETE = 2,   /* Enough of it is there. */
    FC_EVENT_ABANDONED = 3,  /* It is not acceptable any longer, because of `code`. */
    FC_EVENT_REFUSED = 4,    /* Genuine, and not for this device, because of `code`. */
    FC_EVENT_ALARM = 5,      /* Two genuine releases have this number: a signing key may be misused [M-5]. */
    FC_EVENT_NO_ROOM = 6,    /* There is no room for it: `code` is "scratch" or "no-room". It is left alone for ten minutes. */
    FC_EVENT_ROOT = 7,       /* Root `number` is trusted from now on. */
    FC_EVENT_BEACON = 8,     /* There is a later beacon. */
    FC_EVENT_FRESHNESS = 9,  /* What is known is, from now on, `code`: "off", "waiting", "fresh", "stale" or "behind" [B-7]. */
    FC_EVENT_MISMATCH = 10,  /* Release `number` did not read back as it was written. */
    FC_EVENT_ROOTS_LOST = 11 /* Kept roots do not follow, or cannot be kept, and must come again; nothing is installed until they have. */
};

/* fc_config.flags */
enum {
    FC_HAS_HARDWARE = 1,  /* `hardware` counts. */
    FC_HAS_WAVE = 2,      /* `wave` counts. */
    FC_IGNORE_WAVES = 4,  /* Times of waves are not waited for: the device cannot tell the time [M-10]. */
    FC_TRUST_CLOCK = 8,   /* The clock handed in cannot be set by strangers, and counts for freshness [B-6]. */
    FC_INSTALL_STALE = 16 /* Releases are installed even if no beacon says that they are current [B-8]. */
};

/* A place for images. Manifests know it by its name; storage functions by its index in fc_config.targets. */
typedef struct fc_target {
    const char *name;     /* 1 to 32 letters, digits and ._+~- [M-2]. */
    uint64_t max_image;   /* Octets of the largest image. */
    uint64_t max_scratch; /* Octets of the largest scratch area. Pages take 7 to 8 % of an image, repair chunks as much as the release has of them: up to
                             the image's size. If there is room for pages only, repair chunks are not used: that costs air time and nothing else. */
} fc_target;

/* A release that a device was made with. */
typedef struct fc_mark {
    uint64_t sequence;
    uint32_t security_version;
    uint32_t reserved;  /* 0 */
    uint8_t digest[32]; /* SHA-256 of the manifest's payload: "manifest_digest" of `fleetcast-sign inspect --json`. */
} fc_mark;

/* What a release needs of a target, in octets. */
typedef struct fc_room {
    uint32_t target;
    uint32_t reserved;
    uint64_t image_size;
    uint64_t scratch_size;
} fc_room;

typedef struct fc_event {
    int32_t kind; /* FC_EVENT_ */
    uint32_t reserved;
    uint64_t number;         /* Sequence of a release, version of a root, or 0. */
    char code[FC_CODE_SIZE]; /* Why or which, or empty. */
} fc_event;

/* The caller's storage. All functions but `event` are needed; all get `context`, return 0 when done, and anything else when they failed, unless it is said here.
 * Each runs within a call on the receiver, in its thread, and must not call the receiver. What they say is not trusted: chunks are hashed again after a restart
 * [I-3], and the image before it is used [I-1]; but a record that is not there is that of a new device. */
typedef struct fc_storage {
    uint32_t struct_size; /* sizeof(fc_storage) */
    uint32_t reserved;    /* 0 */
    void *context;
    /* Reads FC_ITEM_ `item` into `buffer` of `capacity` octets, and sets *length. Returns 1 if there is none. What cannot be read, or is too long, is a failure. */
    int32_t (*load)(void *context, int32_t item, uint8_t *buffer, size_t capacity, size_t *length);
    /* Replaces an item, in one step that a power cut cannot halve, and returns when it would survive one. Length 0 removes it. */
    int32_t (*save)(void *context, int32_t item, const uint8_t *data, size_t length);
    /* Makes room for a release: `count` targets, each once. With `is_resumed` what the areas have is kept, else it is void. Returns 1 if there is no room; all must
     * be as it was then. */
    int32_t (*prepare)(void *context, const fc_room *rooms, size_t count, int32_t is_resumed);
    /* Reads from and writes to an FC_AREA_ of a target, within the size that `prepare` was told. What was never written may read as anything. */
    int32_t (*read)(void *context, int32_t area, uint32_t target, uint64_t offset, uint8_t *buffer, size_t length);
    int32_t (*write)(void *context, int32_t area, uint32_t target, uint64_t offset, const uint8_t *data, size_t length);
    /* Makes all that was written to areas survive a power cut. */
    int32_t (*flush)(void *context);
    /* Is told what has happened; may be null. */
    void (*event)(void *context, const fc_event *event);
} fc_storage;

/* What a device is and has. Set all to zero first: zero means "none" or "the default". */
typedef struct fc_config {
    uint32_t struct_size; /* sizeof(fc_config) */
    uint32_t flags;       /* FC_HAS_WAVE and so on */
    const fc_storage *storage;
    const uint8_t *keys; /* Bare keys: `key_count` Ed25519 public keys of 32 octets, of which `threshold` must sign [S-7]; or */
    size_t key_count;
    const uint8_t *root; /* a root file of `root_size` octets, as fleetcast-sign makes it [K-6]. */
    size_t root_size;
    const uint8_t *classes; /* `class_count` UUIDs of 16 octets, 1 to 64. */
    size_t class_count;
    const fc_target *targets; /* 1 to 64 */
    size_t target_count;
    const fc_mark *installed; /* What the device was made with, or null. Counts until something is committed: what is older is not taken. */
    uint64_t hardware;        /* Revision of the hardware [M-9]. */
    uint64_t built;           /* A time that is past for sure, in seconds of Unix time: of the device's build [B-6]. */
    uint32_t threshold;
    uint32_t wave;       /* 0 to 999 [M-10]; without FC_HAS_WAVE another one in each release. */
    uint32_t max_packet; /* Octets of the largest datagram that can be received; 1,472 unless given. */
    uint32_t staging;    /* Datagrams that may wait for a page: 256 to 1,024; 256 unless given. */
    uint8_t vendor[16];  /* UUID of the vendor: version 5 of its domain name [M-4]. */
    uint8_t random[32];  /* From a good source, anew at each start; all zero is refused. */
} fc_config;

/* Where a receiver is. */
typedef struct fc_info {
    uint32_t struct_size;        /* sizeof(fc_info), set by the caller */
    int32_t phase;               /* FC_PHASE_ */
    uint64_t sequence;           /* Of the release being received, proven, or on trial; 0 if there is none. */
    uint64_t installed_sequence; /* Of the committed release; 0 if there is none. */
    uint64_t chunks_needed;      /* Of the release being received. */
    uint64_t chunks_have;        /* How many of them are there, or repair chunks in their place. */
    uint64_t datagrams;          /* All that came since the receiver was created. */
    uint32_t security_version;
    uint32_t component_count; /* Of the release being received or proven. */
    uint32_t root_version;    /* 0 for bare keys. */
    uint32_t reserved;
    uint8_t digest[32];           /* SHA-256 of the manifest's payload. */
    char version[FC_NAME_SIZE];   /* As its maker calls it; empty for one on trial. */
    char freshness[FC_CODE_SIZE]; /* As FC_EVENT_FRESHNESS has it. */
} fc_info;

/* A component of the release being received or proven. */
typedef struct fc_component {
    uint32_t struct_size; /* sizeof(fc_component), set by the caller */
    uint32_t target;
    uint64_t size;
    uint8_t sha256[32];
    char name[FC_NAME_SIZE];
} fc_component;

/* Datagrams that were dropped for one cause. */
typedef struct fc_counter {
    uint32_t struct_size; /* sizeof(fc_counter), set by the caller */
    uint32_t reserved;
    uint64_t count;
    char code[FC_CODE_SIZE];
} fc_counter;

typedef struct fc_receiver fc_receiver;

/* FC_ABI_VERSION of the library. */
uint32_t fc_abi_version(void);

/* Version of the library, such as "0.1.0". Never null, never to be freed. */
const char *fc_version(void);

/* What a status means, in English. Never null, never to be freed. */
const char *fc_status_text(fc_status status);

/* Makes a receiver, with what the storage has: reads the items, and hashes what was received before a restart, which takes as long as reading it does.
 * `now_ms`, here and below, is a monotonic clock in milliseconds since any moment, which counts while the device sleeps and never goes back.
 *
 * *receiver is the caller's to destroy, and null unless this returns FC_OK. `config` and what it points at are copied, but storage functions and context must
 * do until the receiver is destroyed. */
fc_status fc_receiver_create(const fc_config *config, uint64_t now_ms, fc_receiver **receiver);

/* Ends a receiver; null is fine. What it keeps stays; call fc_receiver_flush before, to lose nothing. */
fc_status fc_receiver_destroy(fc_receiver *receiver);

/* Takes the payload of a UDP datagram. `address` is that of the sender, 4 octets for IPv4 and 16 for IPv6, in network order: no sender gets more than its share by flooding [S-11, T-11].
 *
 * What is wrong with a datagram is counted, and is no error: anyone can send one. */
fc_status fc_receiver_datagram(fc_receiver *receiver, uint64_t now_ms, const uint8_t *address, size_t address_size,
                               const uint8_t *datagram, size_t size);

/* Does what time asks for: flushes every ten seconds, keeps beacons, notices when what is known is no longer current. About once a second. `unix_s` is the
 * system's clock in seconds of Unix time, 0 if there is none or it is not set. */
fc_status fc_receiver_tick(fc_receiver *receiver, uint64_t now_ms, uint64_t unix_s);

/* Makes what was received survive a power cut. */
fc_status fc_receiver_flush(fc_receiver *receiver);

/* In FC_PHASE_COMPLETE: restores missing chunks, flushes, reads each image back and compares its SHA-256 with the manifest [I-1]. FC_OK enters FC_PHASE_PROVEN.
 * FC_WAIT sets *wait_s, which may be null, to the seconds after which to ask again. After FC_MISMATCH go on with datagrams. It takes as long as reading the image
 * a few times does; datagrams that get lost meanwhile are of no matter. */
fc_status fc_receiver_prove(fc_receiver *receiver, uint64_t now_ms, uint64_t unix_s, uint64_t *wait_s);

/* In FC_PHASE_PROVEN, before the image is put where the device starts from: keeps that the release is on trial. After a power cut the receiver is in
 * FC_PHASE_TRIAL, so that the caller can complete the install or withdraw it [I-2]. */
fc_status fc_receiver_start_trial(fc_receiver *receiver);

/* In FC_PHASE_PROVEN or FC_PHASE_TRIAL: keeps that the release is installed. From then on nothing older is taken [I-4]: so not before it has shown that it runs. */
fc_status fc_receiver_commit(fc_receiver *receiver);

/* In FC_PHASE_PROVEN or FC_PHASE_TRIAL: keeps that the release is given up, and is not to be taken again [I-7]. */
fc_status fc_receiver_give_up(fc_receiver *receiver);

/* Fills *info, whose struct_size must be set. */
fc_status fc_receiver_info(fc_receiver *receiver, fc_info *info);

/* Fills *component with the one of this index, whose struct_size must be set. FC_END if there is none. */
fc_status fc_receiver_component(fc_receiver *receiver, uint32_t index, fc_component *component);

/* Fills *counter with the cause of this index, whose struct_size must be set. FC_END behind the last. Between two datagrams the order stays. */
fc_status fc_receiver_counter(fc_receiver *receiver, uint32_t index, fc_counter *counter);

#ifdef __cplusplus
}
#endif

#endif
