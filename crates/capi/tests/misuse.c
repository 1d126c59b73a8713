/* Calls that no caller should make, among those that it should: each must come back with its status.
 *
 * Arguments: in hex a public key, a vendor and a class; and files with the datagrams of one cycle of a release for them and of a newer one,
 * each behind its length in 16 bits. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fleetcast.h"

static int failures;

#define EXPECT(expression, status)                                                                                   \
    do {                                                                                                             \
        fc_status got = (expression);                                                                                \
        if (got != (status)) {                                                                                       \
            failures++;                                                                                              \
            printf("line %d: %s is %d, not %d\n", __LINE__, #expression, (int)got, (int)(status));                   \
        }                                                                                                            \
    } while (0)

#define CHECK(expression)                                         \
    do {                                                          \
        if (!(expression)) {                                      \
            failures++;                                           \
            printf("line %d: not so: %s\n", __LINE__, #expression); \
        }                                                         \
    } while (0)

/* Storage in memory, that calls the receiver back, and fails when told. */
static fc_receiver *receiver;
static fc_status called_back = FC_OK;
static uint8_t record[1024];
static size_t record_size, claimed;
static int fails, has_no_room;
static uint8_t area[2][1 << 16];

static int32_t load(void *context, int32_t item, uint8_t *buffer, size_t capacity, size_t *length) {
    (void)context;
    if (fails) return -5;
    if (claimed) return *length = capacity + claimed, 0;
    if (item != FC_ITEM_RECORD || record_size == 0) return 1;
    if (record_size > capacity) return -1;
    memcpy(buffer, record, record_size);
    *length = record_size;
    return 0;
}

static int32_t save(void *context, int32_t item, const uint8_t *data, size_t length) {
    (void)context;
    if (receiver) called_back = fc_receiver_tick(receiver, 0, 0);
    if (receiver && called_back == FC_ERR_BUSY) called_back = fc_receiver_destroy(receiver);
    if (fails) return -5;
    if (item == FC_ITEM_RECORD && length <= sizeof record) memcpy(record, data, record_size = length);
    return 0;
}

static int32_t prepare(void *context, const fc_room *rooms, size_t count, int32_t is_resumed) {
    (void)context, (void)is_resumed;
    if (has_no_room) return 1;
    CHECK(count == 1 && rooms->target == 0 && rooms->image_size <= sizeof area[0] && rooms->scratch_size <= sizeof area[1]);
    return 0;
}

static int32_t area_read(void *context, int32_t which, uint32_t target, uint64_t offset, uint8_t *buffer, size_t length) {
    (void)context, (void)target;
    if (offset + length > sizeof area[which]) return -1;
    memcpy(buffer, area[which] + offset, length);
    return 0;
}

static int32_t area_write(void *context, int32_t which, uint32_t target, uint64_t offset, const uint8_t *data, size_t length) {
    (void)context, (void)target;
    if (fails || offset + length > sizeof area[which]) return -5;
    memcpy(area[which] + offset, data, length);
    return 0;
}

static int32_t flush(void *context) {
    (void)context;
    return 0;
}

static uint8_t key[64], vendor[16], class[16];
static fc_storage storage;
static fc_target targets[2];

static fc_config fresh(void) {
    fc_config config;
    memset(&config, 0, sizeof config);
    config.struct_size = sizeof config;
    config.storage = &storage;
    config.keys = key;
    config.key_count = config.threshold = 1;
    config.classes = class;
    config.class_count = 1;
    config.targets = targets;
    config.target_count = 1;
    config.random[0] = 1;
    targets[0].name = targets[1].name = "rootfs";
    targets[0].max_image = targets[0].max_scratch = sizeof area[0];
    memcpy(config.vendor, vendor, sizeof vendor);
    return config;
}

/* What is wrong with a configuration, one thing at a time. */
static void configurations(void) {
    static char unended[33];
    const uint8_t root[3] = {0x83, 0x01, 0x02};
    fc_receiver *made = (fc_receiver *)key;
    fc_config config;
    EXPECT(fc_receiver_create(NULL, 0, &made), FC_ERR_ARGUMENT);
    CHECK(!(made != NULL));
    config = fresh();
    EXPECT(fc_receiver_create(&config, 0, NULL), FC_ERR_ARGUMENT);
#define WRONG(change, status) \
    config = fresh();         \
    change;                   \
    EXPECT(fc_receiver_create(&config, 0, &made), status)
    WRONG(config.struct_size = 0, FC_ERR_ABI);
    WRONG(config.struct_size = UINT32_MAX, FC_ERR_ABI);
    WRONG(config.storage = NULL, FC_ERR_ARGUMENT);
    WRONG(config.keys = NULL, FC_ERR_ARGUMENT);
    WRONG(config.key_count = 0, FC_ERR_ARGUMENT);
    WRONG(config.key_count = SIZE_MAX, FC_ERR_ARGUMENT);
    WRONG(config.threshold = 0, FC_ERR_TRUST);
    WRONG(config.threshold = 2, FC_ERR_TRUST);
    WRONG(config.threshold = 257, FC_ERR_TRUST);
    WRONG((config.key_count = config.threshold = 2, memcpy(key + 32, key, 32)), FC_ERR_TRUST);
    WRONG((config.keys = NULL, config.key_count = 0, config.root = root, config.root_size = 3), FC_ERR_TRUST);
    WRONG((config.root = root, config.root_size = 3), FC_ERR_ARGUMENT);
    WRONG((config.root = root, config.root_size = SIZE_MAX), FC_ERR_ARGUMENT);
    WRONG(config.classes = NULL, FC_ERR_ARGUMENT);
    WRONG(config.class_count = 0, FC_ERR_ARGUMENT);
    WRONG(config.class_count = SIZE_MAX / 16 + 2, FC_ERR_ARGUMENT);
    WRONG(config.targets = NULL, FC_ERR_ARGUMENT);
    WRONG(config.target_count = 0, FC_ERR_ARGUMENT);
    WRONG(config.target_count = 2, FC_ERR_ARGUMENT);
    WRONG(config.targets = (const fc_target *)((const char *)targets + 1), FC_ERR_ARGUMENT);
    WRONG(targets[0].name = NULL, FC_ERR_ARGUMENT);
    WRONG(targets[0].name = "", FC_ERR_ARGUMENT);
    WRONG(targets[0].name = "a/b", FC_ERR_ARGUMENT);
    memset(unended, 'a', sizeof unended);
    WRONG(targets[0].name = unended, FC_ERR_ARGUMENT);
    WRONG(config.flags = 1u << 31, FC_ERR_ARGUMENT);
    WRONG((config.flags = FC_HAS_WAVE, config.wave = 1000), FC_ERR_ARGUMENT);
    WRONG(config.staging = 255, FC_ERR_ARGUMENT);
    WRONG(config.staging = 1025, FC_ERR_ARGUMENT);
    WRONG(config.max_packet = 65508, FC_ERR_ARGUMENT);
    WRONG(config.random[0] = 0, FC_ERR_ARGUMENT);
    storage.struct_size--;
    WRONG((void)0, FC_ERR_ABI);
    storage.struct_size++;
    storage.read = NULL;
    WRONG((void)0, FC_ERR_ARGUMENT);
    storage.read = area_read;
    fails = 1;
    WRONG((void)0, FC_ERR_STORAGE);
    fails = 0;
    claimed = 1;
    WRONG((void)0, FC_ERR_STORAGE);
    claimed = SIZE_MAX / 2;
    WRONG((void)0, FC_ERR_STORAGE);
    claimed = 0;
    record_size = 100;
    WRONG((void)0, FC_ERR_DAMAGED);
    record_size = 0;
    CHECK(!(made != NULL));
}

static uint8_t packets[1 << 18], newer[1 << 18];
static size_t packets_size, newer_size;

/* Gives a receiver all datagrams once; the first status that is not FC_OK. */
static fc_status feed_all(fc_receiver *to, const uint8_t *from, size_t length) {
    const uint8_t address[4] = {10, 0, 0, 1};
    for (size_t at = 0; at + 2 <= length;) {
        size_t size = (size_t)from[at] << 8 | from[at + 1];
        fc_status status = fc_receiver_datagram(to, 1000, address, 4, from + at + 2, size);
        if (status != FC_OK) return status;
        at += 2 + size;
    }
    return FC_OK;
}

static fc_status feed(fc_receiver *to) { return feed_all(to, packets, packets_size); }

static int32_t phase(void) {
    fc_info info;
    info.struct_size = sizeof info;
    EXPECT(fc_receiver_info(receiver, &info), FC_OK);
    return info.phase;
}

static void restart(const fc_config *config) {
    fc_receiver *made;
    EXPECT(fc_receiver_destroy(receiver), FC_OK);
    receiver = NULL;
    EXPECT(fc_receiver_create(config, 0, &made), FC_OK);
    receiver = made;
    if (!made) exit(1);
}

/* A release, with what may go wrong on its way. */
static void lifecycle(void) {
    fc_config config = fresh();
    fc_info info;
    fc_component component;
    uint64_t wait = 7;
    component.struct_size = sizeof component;
    record_size = 0;
    receiver = NULL;
    restart(&config);
    has_no_room = 1;
    EXPECT(feed(receiver), FC_OK);
    CHECK(phase() == FC_PHASE_IDLE);
    has_no_room = 0;
    EXPECT(feed(receiver), FC_OK); /* It is left alone for a while. */
    CHECK(phase() == FC_PHASE_IDLE);
    restart(&config);
    fails = 1;
    EXPECT(feed(receiver), FC_ERR_STORAGE);
    CHECK(called_back == FC_ERR_BUSY);
    fails = 0;
    EXPECT(feed(receiver), FC_ERR_STORAGE); /* Until it is made anew. */
    restart(&config);
    EXPECT(feed(receiver), FC_OK);
    CHECK(phase() == FC_PHASE_COMPLETE);
    EXPECT(fc_receiver_component(receiver, 0, &component), FC_OK);
    CHECK(component.target == 0 && strcmp(component.name, "rootfs") == 0 && component.size <= sizeof area[0]);
    EXPECT(fc_receiver_component(receiver, 1, &component), FC_END);
    EXPECT(fc_receiver_commit(receiver), FC_ERR_PHASE); /* It is not proven. */

    area[FC_AREA_IMAGE][100] ^= 1;
    EXPECT(fc_receiver_prove(receiver, 1000, 0, &wait), FC_MISMATCH);
    CHECK(phase() == FC_PHASE_COMPLETE || feed(receiver) == FC_OK); /* The code may make up for it. */
    EXPECT(fc_receiver_prove(receiver, 1000, 0, &wait), FC_OK);
    CHECK(phase() == FC_PHASE_PROVEN && wait == 0);
    EXPECT(feed_all(receiver, newer, newer_size), FC_OK); /* Nothing overwrites what is being installed. */
    info.struct_size = sizeof info;
    EXPECT(fc_receiver_info(receiver, &info), FC_OK);
    CHECK(info.sequence == 1 && info.phase == FC_PHASE_PROVEN);
    EXPECT(fc_receiver_prove(receiver, 1000, 0, &wait), FC_ERR_PHASE);
    EXPECT(fc_receiver_start_trial(receiver), FC_OK);
    EXPECT(fc_receiver_start_trial(receiver), FC_ERR_PHASE);
    restart(&config);
    EXPECT(feed(receiver), FC_OK);
    CHECK(phase() == FC_PHASE_TRIAL);
    EXPECT(fc_receiver_commit(receiver), FC_OK);
    EXPECT(fc_receiver_give_up(receiver), FC_ERR_PHASE);
    EXPECT(feed(receiver), FC_OK);
    CHECK(phase() == FC_PHASE_IDLE);
    EXPECT(feed_all(receiver, newer, newer_size), FC_OK);
    CHECK(phase() == FC_PHASE_COMPLETE);

    /* What is given up is not taken again; pages alone do where there is no room for more. */
    record_size = 0;
    targets[0].max_scratch = 1 << 13;
    restart(&config);
    EXPECT(feed(receiver), FC_OK);
    EXPECT(fc_receiver_prove(receiver, 1000, 0, NULL), FC_OK);
    EXPECT(fc_receiver_give_up(receiver), FC_OK);
    restart(&config);
    EXPECT(feed(receiver), FC_OK);
    CHECK(phase() == FC_PHASE_IDLE);
    EXPECT(fc_receiver_destroy(receiver), FC_OK);
}

static int unhex(const char *text, uint8_t *octets, size_t count) {
    if (strlen(text) != 2 * count) return -1;
    for (size_t i = 0; i < count; i++) {
        unsigned octet;
        if (sscanf(text + 2 * i, "%2x", &octet) != 1) return -1;
        octets[i] = (uint8_t)octet;
    }
    return 0;
}

int main(int count, char **words) {
    const uint8_t address[16] = {0};
    uint8_t datagram[100] = {0x10, 0xA0, 4, 1};
    fc_config config;
    fc_info info;
    fc_component component;
    fc_counter counter;
    uint64_t wait = 7;
    FILE *file = count == 6 ? fopen(words[4], "rb") : NULL;
    if (file == NULL || unhex(words[1], key, 32) || unhex(words[2], vendor, 16) || unhex(words[3], class, 16)) return 2;
    packets_size = fread(packets, 1, sizeof packets, file);
    fclose(file);
    file = fopen(words[5], "rb");
    if (file == NULL) return 2;
    newer_size = fread(newer, 1, sizeof newer, file);
    fclose(file);
    memset(&storage, 0, sizeof storage);
    storage.struct_size = sizeof storage;
    storage.load = load;
    storage.save = save;
    storage.prepare = prepare;
    storage.read = area_read;
    storage.write = area_write;
    storage.flush = flush;
    configurations();
    CHECK(!(fc_abi_version() != FC_ABI_VERSION || strlen(fc_version()) < 5));
    for (fc_status status = -20; status < 20; status++)
        CHECK(!(strlen(fc_status_text(status)) < 4));

    EXPECT(fc_receiver_destroy(NULL), FC_OK);
    EXPECT(fc_receiver_datagram(NULL, 0, address, 4, datagram, 4), FC_ERR_ARGUMENT);
    EXPECT(fc_receiver_tick(NULL, 0, 0), FC_ERR_ARGUMENT);
    EXPECT(fc_receiver_flush(NULL), FC_ERR_ARGUMENT);
    EXPECT(fc_receiver_prove(NULL, 0, 0, &wait), FC_ERR_ARGUMENT);
    EXPECT(fc_receiver_start_trial(NULL), FC_ERR_ARGUMENT);
    EXPECT(fc_receiver_commit(NULL), FC_ERR_ARGUMENT);
    EXPECT(fc_receiver_give_up(NULL), FC_ERR_ARGUMENT);
    EXPECT(fc_receiver_info(NULL, &info), FC_ERR_ARGUMENT);

    config = fresh();
    EXPECT(fc_receiver_create(&config, 0, &receiver), FC_OK);
    if (receiver == NULL) return 1;
    EXPECT(fc_receiver_datagram(receiver, 0, NULL, 4, datagram, 4), FC_ERR_ARGUMENT);
    EXPECT(fc_receiver_datagram(receiver, 0, address, 0, datagram, 4), FC_ERR_ARGUMENT);
    EXPECT(fc_receiver_datagram(receiver, 0, address, 5, datagram, 4), FC_ERR_ARGUMENT);
    EXPECT(fc_receiver_datagram(receiver, 0, address, 16, NULL, 4), FC_ERR_ARGUMENT);
    EXPECT(fc_receiver_datagram(receiver, 0, address, 4, datagram, SIZE_MAX), FC_ERR_ARGUMENT);
    EXPECT(fc_receiver_datagram(receiver, 0, address, 4, NULL, 0), FC_OK);
    for (size_t size = 0; size <= sizeof datagram; size++)
        EXPECT(fc_receiver_datagram(receiver, UINT64_MAX, address, 16, datagram, size), FC_OK);
    EXPECT(fc_receiver_tick(receiver, 0, UINT64_MAX), FC_OK);
    EXPECT(fc_receiver_prove(receiver, 0, 0, &wait), FC_ERR_PHASE);
    EXPECT(fc_receiver_prove(receiver, 0, 0, NULL), FC_ERR_PHASE);
    CHECK(!(wait != 0));
    EXPECT(fc_receiver_start_trial(receiver), FC_ERR_PHASE);
    EXPECT(fc_receiver_commit(receiver), FC_ERR_PHASE);
    EXPECT(fc_receiver_give_up(receiver), FC_ERR_PHASE);
    info.struct_size = sizeof info - 1;
    EXPECT(fc_receiver_info(receiver, &info), FC_ERR_ABI);
    EXPECT(fc_receiver_info(receiver, NULL), FC_ERR_ARGUMENT);
    info.struct_size = sizeof info;
    EXPECT(fc_receiver_info(receiver, &info), FC_OK);
    CHECK(!(info.phase != FC_PHASE_IDLE || info.datagrams != 102 || strcmp(info.freshness, "off") || info.version[0]));
    component.struct_size = sizeof component;
    EXPECT(fc_receiver_component(receiver, 0, &component), FC_END);
    EXPECT(fc_receiver_component(receiver, UINT32_MAX, &component), FC_END);
    counter.struct_size = 0;
    EXPECT(fc_receiver_counter(receiver, 0, &counter), FC_ERR_ABI);
    counter.struct_size = sizeof counter;
    EXPECT(fc_receiver_counter(receiver, 0, &counter), FC_OK);
    CHECK(counter.code[0] && counter.count > 0);
    EXPECT(fc_receiver_counter(receiver, UINT32_MAX, &counter), FC_END);
    EXPECT(fc_receiver_destroy(receiver), FC_OK);

    CHECK(record_size > 0);
    lifecycle();
    if (failures == 0) puts("all as it should be");
    return failures != 0;
}
