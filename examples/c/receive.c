/* Receives one release of one image from a multicast group into a file, and ends. It resumes what an earlier run had. See README.md. */
#define _GNU_SOURCE

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "fleetcast.h"

/* Files: small items, and for the only target the image beside the one it replaces, and scratch. */
struct store {
    const char *folder;
    char target[PATH_MAX], target_folder[PATH_MAX], path[2][PATH_MAX];
    int area[2]; /* -1 until there is a release: what is not beside the target any longer has been installed. */
};

static volatile sig_atomic_t is_over;

static void on_signal(int number) { is_over = number; }

static void fail(const char *what) { perror(what), exit(1); }

static int sync_folder(const char *path) {
    int folder = open(path, O_RDONLY | O_DIRECTORY);
    if (folder < 0) return -1;
    int result = fsync(folder);
    close(folder);
    return result;
}

static int item_path(const struct store *store, int32_t item, const char *end, char path[PATH_MAX]) {
    static const char *const names[] = {"record", "statement", "roots", "beacon"};
    if (item < 0 || item > FC_ITEM_BEACON) return -1;
    sprintf(path, "%s/%s%s", store->folder, names[item], end);
    return 0;
}

/* Reads all that there is, at most `length` octets. */
static ssize_t read_all(int file, void *buffer, size_t length, off_t offset) {
    size_t done = 0;
    ssize_t got = 1;
    for (; done < length && got > 0; done += (size_t)got) {
        got = pread(file, (char *)buffer + done, length - done, offset + (off_t)done);
        if (got < 0) return -1;
    }
    return (ssize_t)done;
}

static int write_all(int file, const void *data, size_t length, off_t offset) {
    for (size_t done = 0; done < length;) {
        ssize_t put = pwrite(file, (const char *)data + done, length - done, offset + (off_t)done);
        if (put <= 0) return -1;
        done += (size_t)put;
    }
    return 0;
}

static int32_t load(void *context, int32_t item, uint8_t *buffer, size_t capacity, size_t *length) {
    char path[PATH_MAX];
    struct stat about;
    if (item_path(context, item, "", path)) return -1;
    int file = open(path, O_RDONLY);
    if (file < 0) return errno == ENOENT ? 1 : -1;
    ssize_t got = -1;
    if (fstat(file, &about) == 0 && (size_t)about.st_size <= capacity) got = read_all(file, buffer, capacity, 0);
    close(file);
    if (got < 0) return -1;
    *length = (size_t)got;
    return 0;
}

/* A new file in the place of the old, each step on the disk before the next. */
static int32_t save(void *context, int32_t item, const uint8_t *data, size_t length) {
    const struct store *store = context;
    char path[PATH_MAX], next[PATH_MAX];
    if (item_path(store, item, "", path) || item_path(store, item, ".new", next)) return -1;
    if (length == 0) {
        if (unlink(path) && errno != ENOENT) return -1;
        return sync_folder(store->folder);
    }
    int file = open(next, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (file < 0) return -1;
    int result = write_all(file, data, length, 0) || fsync(file) ? -1 : 0;
    if (close(file) || result) return -1;
    return rename(next, path) || sync_folder(store->folder) ? -1 : 0;
}

/* Room for both files, or none is touched. What they have may stay: it is verified before it counts. */
static int32_t prepare(void *context, const fc_room *rooms, size_t count, int32_t is_resumed) {
    struct store *store = context;
    off_t before[2], size[2];
    (void)is_resumed;
    if (count != 1) return -1;
    size[FC_AREA_IMAGE] = (off_t)rooms[0].image_size;
    size[FC_AREA_SCRATCH] = (off_t)rooms[0].scratch_size;
    for (int area = 0; area < 2; area++) {
        if (store->area[area] < 0) store->area[area] = open(store->path[area], O_RDWR | O_CREAT, 0600);
        if (store->area[area] < 0) return -1;
        before[area] = lseek(store->area[area], 0, SEEK_END);
        int error = posix_fallocate(store->area[area], 0, size[area]);
        if (error) {
            for (; area >= 0; area--)
                if (ftruncate(store->area[area], before[area])) return -1;
            return error == ENOSPC || error == EFBIG ? 1 : -1;
        }
    }
    return ftruncate(store->area[0], size[0]) || ftruncate(store->area[1], size[1]) ? -1 : 0;
}

static int32_t read_area(void *context, int32_t area, uint32_t target, uint64_t offset, uint8_t *buffer, size_t length) {
    const struct store *store = context;
    if (target != 0) return -1;
    ssize_t got = read_all(store->area[area], buffer, length, (off_t)offset);
    if (got >= 0) memset(buffer + got, 0, length - (size_t)got);
    return got < 0 ? -1 : 0;
}

static int32_t write_area(void *context, int32_t area, uint32_t target, uint64_t offset, const uint8_t *data, size_t length) {
    return target == 0 ? write_all(((const struct store *)context)->area[area], data, length, (off_t)offset) : -1;
}

static int32_t flush(void *context) {
    const struct store *store = context;
    return fdatasync(store->area[0]) || fdatasync(store->area[1]) || sync_folder(store->target_folder) ? -1 : 0;
}

static void event(void *context, const fc_event *event) {
    static const char *const names[] = {"begin", "resumed", "complete", "abandoned", "refused", "alarm",
                                        "no-room", "root", "beacon", "freshness", "mismatch", "roots-lost"};
    (void)context;
    if (event->kind >= 0 && (size_t)event->kind < sizeof names / sizeof *names)
        printf("%s %llu %s\n", names[event->kind], (unsigned long long)event->number, event->code);
    fflush(stdout);
}

static uint64_t now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Octets of `length` pairs of hex digits; dashes are passed over. */
static int unhex(const char *text, uint8_t *octets, size_t length) {
    for (size_t i = 0; i < length; i++) {
        unsigned octet;
        while (*text == '-') text++;
        if (strspn(text, "0123456789abcdefABCDEF") < 2 || sscanf(text, "%2x", &octet) != 1) return -1;
        octets[i] = (uint8_t)octet;
        text += 2;
    }
    return *text ? -1 : 0;
}

static int join(const char *group, const char *port, const char *interface) {
    struct sockaddr_in address;
    struct ip_mreqn request;
    int one = 1, room = 4 << 20, file = socket(AF_INET, SOCK_DGRAM, 0);
    memset(&address, 0, sizeof address);
    memset(&request, 0, sizeof request);
    address.sin_family = AF_INET;
    address.sin_port = htons((uint16_t)atoi(port));
    request.imr_ifindex = (int)if_nametoindex(interface);
    if (inet_pton(AF_INET, group, &address.sin_addr) != 1) return -1;
    request.imr_multiaddr = address.sin_addr;
    if (file < 0 || request.imr_ifindex == 0) return -1;
    setsockopt(file, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    return setsockopt(file, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) || bind(file, (struct sockaddr *)&address, sizeof address) ||
                   setsockopt(file, IPPROTO_IP, IP_ADD_MEMBERSHIP, &request, sizeof request)
               ? -1 : file;
}

/* Puts the proven image in place. Also after a power cut: if it is not beside its place any longer, it is there. */
static int install(const struct store *store) {
    if (rename(store->path[FC_AREA_IMAGE], store->target) && errno != ENOENT) return -1;
    return sync_folder(store->target_folder);
}

/* Lets the datagrams in until a release is installed: 0, or the signal comes: 1. */
static fc_status receive(fc_receiver *receiver, struct store *store, int group) {
    static uint8_t datagram[65536];
    uint64_t next_tick = 0, next_try = 0, wait = 0;
    fc_status status = FC_OK;
    fc_info info = {.struct_size = sizeof info};
    while (status >= 0 && !is_over) {
        struct pollfd ready = {group, POLLIN, 0};
        struct sockaddr_in from;
        socklen_t from_size = sizeof from;
        poll(&ready, 1, 200);
        ssize_t size = recvfrom(group, datagram, sizeof datagram, MSG_DONTWAIT, (struct sockaddr *)&from, &from_size);
        uint64_t now = now_ms();
        if (size >= 0 && from_size == sizeof from)
            status = fc_receiver_datagram(receiver, now, (const uint8_t *)&from.sin_addr, 4, datagram, (size_t)size);
        if (status >= 0 && now >= next_tick) {
            next_tick = now + 1000;
            status = fc_receiver_tick(receiver, now, (uint64_t)time(NULL));
        }
        if (status >= 0) status = fc_receiver_info(receiver, &info);
        if (status >= 0 && info.phase == FC_PHASE_COMPLETE && now >= next_try) {
            status = fc_receiver_prove(receiver, now, (uint64_t)time(NULL), &wait);
            next_try = status == FC_WAIT ? now + 1000 * (wait < 60 ? wait : 60) : 0;
            if (status == FC_OK) status = fc_receiver_start_trial(receiver);
        }
        if (status >= 0) status = fc_receiver_info(receiver, &info);
        /* Entered just before, or in an earlier run that power has ended. A file is in use once it is in place, so there is nothing to try. */
        if (status >= 0 && info.phase == FC_PHASE_TRIAL) {
            if (install(store)) fail(store->target);
            status = fc_receiver_commit(receiver);
            if (status == FC_OK) printf("installed %llu\n", (unsigned long long)info.sequence);
            return status;
        }
    }
    return status < 0 ? status : FC_END;
}

static void show_counters(fc_receiver *receiver) {
    fc_counter counter = {.struct_size = sizeof counter};
    for (uint32_t i = 0; fc_receiver_counter(receiver, i, &counter) == FC_OK; i++)
        printf("dropped %llu %s\n", (unsigned long long)counter.count, counter.code);
}

/* Makes the paths; -1 if one is too long. */
static int set_paths(struct store *store, const char *file, const char *folder) {
    const char *slash = strrchr(file, '/');
    if (strlen(file) > PATH_MAX - 16 || strlen(folder) > PATH_MAX - 16) return -1;
    store->folder = folder;
    store->area[0] = store->area[1] = -1;
    sprintf(store->target, "%s", file);
    sprintf(store->target_folder, "%.*s", slash ? (int)(slash - file) + 1 : 1, slash ? file : ".");
    sprintf(store->path[FC_AREA_IMAGE], "%s.part", file);
    sprintf(store->path[FC_AREA_SCRATCH], "%s/scratch", folder);
    return 0;
}

/* A key of 64 hex digits, or a file with a root. */
static int set_trust(fc_config *config, const char *word) {
    static uint8_t octets[65536];
    config->threshold = 1;
    if (unhex(word, octets, 32) == 0) {
        config->keys = octets;
        config->key_count = 1;
        return 0;
    }
    int file = open(word, O_RDONLY);
    ssize_t size = file < 0 ? -1 : read_all(file, octets, sizeof octets, 0);
    if (size < 0) return -1;
    close(file);
    config->root = octets;
    config->root_size = (size_t)size;
    return 0;
}

int main(int count, char **words) {
    static struct store store;
    static fc_storage storage = {sizeof storage, 0, &store, load, save, prepare, read_area, write_area, flush, event};
    static uint8_t class[16];
    fc_target target = {count > 4 ? words[4] : "", UINT64_C(1) << 34, UINT64_C(1) << 35};
    fc_config config = {.struct_size = sizeof config, .storage = &storage, .targets = &target, .target_count = 1, .classes = class, .class_count = 1};
    fc_receiver *receiver;
    if (count != 10) {
        fprintf(stderr, "usage: %s KEY-HEX|ROOT-FILE VENDOR-UUID CLASS-UUID TARGET FILE FOLDER GROUP PORT INTERFACE\n", words[0]);
        return 2;
    }
    if (set_trust(&config, words[1])) fail(words[1]);
    if (set_paths(&store, words[5], words[6]) || unhex(words[2], config.vendor, 16) || unhex(words[3], class, 16)) {
        fprintf(stderr, "vendor and class are UUIDs, as fleetcast-sign inspect shows them; paths have a bound\n");
        return 2;
    }
    int random = open("/dev/urandom", O_RDONLY);
    if (random < 0 || read_all(random, config.random, sizeof config.random, 0) != (ssize_t)sizeof config.random) fail("random");
    close(random);
    signal(SIGINT, on_signal);
    signal(SIGTERM, on_signal);
    int group = join(words[7], words[8], words[9]);
    if (group < 0) fail("join");

    fc_status status = fc_receiver_create(&config, now_ms(), &receiver);
    if (status == FC_OK) {
        printf("ready 0 %s\n", fc_version());
        fflush(stdout);
        status = receive(receiver, &store, group);
        if (status >= 0) fc_receiver_flush(receiver);
        show_counters(receiver);
    }
    if (status < 0) fprintf(stderr, "%s\n", fc_status_text(status));
    fc_receiver_destroy(receiver);
    return status == FC_OK ? 0 : 1;
}
