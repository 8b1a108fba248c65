/* Moves the wall clock of a process by MOVED_CLOCK_S seconds, as LD_PRELOAD. Spans of time stay right, also those of waits
 * until a time of the wall clock.
 *
 * Debian's faketime leaves out the waits of C11 threads, so librdkafka hangs under it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/time.h>
#include <threads.h>
#include <time.h>

#define WALL_S_MIN 1000000000L /* a time of the monotonic clock is smaller: the machine was started later than 2001 */

static long moved_s;
static int (*next_clock_gettime)(clockid_t, struct timespec *);
static int (*next_gettimeofday)(struct timeval *, void *);

__attribute__((constructor)) static void read_settings(void) {
    const char *given = getenv("MOVED_CLOCK_S");
    moved_s = given ? atol(given) : 0;
    next_clock_gettime = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    next_gettimeofday = (int (*)(struct timeval *, void *))dlsym(RTLD_NEXT, "gettimeofday");
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    if (!next_clock_gettime) read_settings();
    int result = next_clock_gettime(clock, now);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += moved_s;
    return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    if (!next_gettimeofday) read_settings();
    int result = next_gettimeofday(now, zone);
    if (result == 0) now->tv_sec += moved_s;
    return result;
}

time_t time(time_t *out) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (out) *out = now.tv_sec;
    return now.tv_sec;
}

static struct timespec unmoved(const struct timespec *until) {
    struct timespec there = *until;
    if (there.tv_sec > WALL_S_MIN) there.tv_sec -= moved_s;
    return there;
}

static void *next(const char *name, const char *version) {
    void *found = version ? dlvsym(RTLD_NEXT, name, version) : NULL;
    return found ? found : dlsym(RTLD_NEXT, name);
}

int cnd_timedwait(cnd_t *restrict condition, mtx_t *restrict mutex, const struct timespec *restrict until) {
    static int (*wait)(cnd_t *, mtx_t *, const struct timespec *);
    if (!wait) wait = (int (*)(cnd_t *, mtx_t *, const struct timespec *))next("cnd_timedwait", NULL);
    struct timespec there = unmoved(until);
    return wait(condition, mutex, &there);
}

int pthread_cond_timedwait(pthread_cond_t *restrict condition, pthread_mutex_t *restrict mutex,
                           const struct timespec *restrict until) {
    static int (*wait)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
    if (!wait)
        wait = (int (*)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *))next("pthread_cond_timedwait",
                                                                                          "GLIBC_2.3.2");
    struct timespec there = unmoved(until);
    return wait(condition, mutex, &there);
}

int sem_timedwait(sem_t *restrict semaphore, const struct timespec *restrict until) {
    static int (*wait)(sem_t *, const struct timespec *);
    if (!wait) wait = (int (*)(sem_t *, const struct timespec *))next("sem_timedwait", NULL);
    struct timespec there = unmoved(until);
    return wait(semaphore, &there);
}
