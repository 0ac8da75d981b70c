/*
 * What the helper reads from STATE: the launch file, and the words of the last daemon. For libFuzzer with ASan and UBSan: run.ts.
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../start-daemon.c"

static void require(int condition, const char *what)
{
    if (condition) return;
    fprintf(stderr, "broken: %s\n", what);
    abort();
}

static void read_as_launch_file(const uint8_t *data, size_t size)
{
    static struct launch launch;
    memset(&launch, 0, sizeof launch);
    if (size >= sizeof launch.text) return;
    memcpy(launch.text, data, size);
    if (!parse_launch(&launch, size)) return;
    require(launch.run[0] != NULL && launch.run[0][0] == '/', "an absolute program");
    char *const *const lists[] = {launch.run, launch.environment, launch.service};
    for (size_t list = 0; list < 3; list++)
        for (size_t i = 0; lists[list][i] != NULL; i++) {
            require(i < WORDS, "no more words than there is room for");
            const char *word = lists[list][i];
            require(word >= launch.text && word + strlen(word) < launch.text + sizeof launch.text, "a word of the file");
        }
}

static void read_as_refusal(const uint8_t *data, size_t size)
{
    static char folder[] = "/tmp/broker-fuzz-XXXXXX";
    char path[PATH_ROOM], why[LINE_LIMIT];
    if (folder[sizeof folder - 2] == 'X') require(mkdtemp(folder) != NULL, "a folder");
    join(path, sizeof path, PARTS(folder, "/refusal"));
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0) return;
    require(write(fd, data, size) == (ssize_t)size, "room for the file");
    close(fd);
    int code = refused_before(folder, why);
    require(code >= 0 && code <= 255 && strlen(why) < LINE_LIMIT, "an exit code and a line");
    require((code == 0) == (why[0] == '\0'), "a code with words, or neither");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) return 0;
    if ((data[0] & 1) != 0) read_as_refusal(data + 1, size - 1);
    else read_as_launch_file(data + 1, size - 1);
    return 0;
}
