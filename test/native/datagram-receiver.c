/* datagram-receiver ADDRESS: says "ready", then the first datagram that comes to a Unix socket (@name: abstract). */
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

int main(int count, char **arguments)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char message[4096];
    if (count != 2 || strlen(arguments[1]) >= sizeof address.sun_path) return 64;
    size_t length = strlen(arguments[1]);
    memcpy(address.sun_path, arguments[1], length);
    if (address.sun_path[0] == '@') address.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    if (bind(fd, (const struct sockaddr *)&address, size) != 0 || write(1, "ready\n", 6) != 6) return 1;
    ssize_t received = recv(fd, message, sizeof message, 0);
    return received >= 0 && write(1, message, (size_t)received) == received ? 0 : 1;
}
