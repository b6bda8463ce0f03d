// A library for LD_PRELOAD: calls on files below the directory $FAULTS_IN fail as the file $FAULTS says: letters of kinds of calls
// (w: write, s: sync, r: read, o: open, rename), an errno, such as "ws 28", and how many milliseconds they take before, such as
// "s 0 700" for slow syncs that succeed. Without that file nothing fails.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static int fails(char kind, const char *path) {
  const char *in = getenv("FAULTS_IN"), *file = getenv("FAULTS");
  if (!in || !file || strncmp(path, in, strlen(in))) return 0;
  int before = errno, number = 0, ms = 0;
  char kinds[16] = "";
  FILE *f = fopen(file, "re");
  if (f) {
    if (fscanf(f, "%15s %d %d", kinds, &number, &ms) < 2) number = 0;
    fclose(f);
  }
  if (ms > 0 && strchr(kinds, kind)) usleep(1000 * ms);
  errno = before;
  if (!number || !strchr(kinds, kind)) return 0;
  errno = number;
  return 1;
}

static int fails_at(char kind, int fd) {
  char link[40], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  int before = errno;
  ssize_t n = readlink(link, path, sizeof path - 1);
  errno = before;
  if (n < 0) return 0;
  path[n] = 0;
  return fails(kind, path);
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t write(int fd, const void *p, size_t n) { return fails_at('w', fd) ? -1 : NEXT(write)(fd, p, n); }
ssize_t pwrite(int fd, const void *p, size_t n, off_t at) { return fails_at('w', fd) ? -1 : NEXT(pwrite)(fd, p, n, at); }
ssize_t pwrite64(int fd, const void *p, size_t n, off64_t at) { return fails_at('w', fd) ? -1 : NEXT(pwrite64)(fd, p, n, at); }
int ftruncate(int fd, off_t size) { return fails_at('w', fd) ? -1 : NEXT(ftruncate)(fd, size); }
int fallocate(int fd, int mode, off_t at, off_t n) { return fails_at('w', fd) ? -1 : NEXT(fallocate)(fd, mode, at, n); }
int fsync(int fd) { return fails_at('s', fd) ? -1 : NEXT(fsync)(fd); }
int fdatasync(int fd) { return fails_at('s', fd) ? -1 : NEXT(fdatasync)(fd); }
int sync_file_range(int fd, off64_t at, off64_t n, unsigned flags) { return flags && fails_at('s', fd) ? -1 : NEXT(sync_file_range)(fd, at, n, flags); }
ssize_t read(int fd, void *p, size_t n) { return fails_at('r', fd) ? -1 : NEXT(read)(fd, p, n); }
ssize_t pread(int fd, void *p, size_t n, off_t at) { return fails_at('r', fd) ? -1 : NEXT(pread)(fd, p, n, at); }
ssize_t pread64(int fd, void *p, size_t n, off64_t at) { return fails_at('r', fd) ? -1 : NEXT(pread64)(fd, p, n, at); }
int rename(const char *from, const char *to) { return fails('o', from) ? -1 : NEXT(rename)(from, to); }

#define OPEN(name)                                        \
  int name(const char *path, int flags, ...) {            \
    mode_t mode = 0;                                      \
    if (flags & O_CREAT) {                                \
      va_list more;                                       \
      va_start(more, flags);                              \
      mode = va_arg(more, mode_t);                        \
      va_end(more);                                       \
    }                                                     \
    return fails('o', path) ? -1 : NEXT(name)(path, flags, mode); \
  }
OPEN(open)
OPEN(open64)
