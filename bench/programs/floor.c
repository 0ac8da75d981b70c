/*
 * The floor: the least that starting a program and waiting for its end can cost. No C library, one system call.
 */
#if defined(__x86_64__)
__attribute__((noreturn)) void _start(void)
{
    __asm__ volatile("syscall" : : "a"(60L), "D"(0L) : "rcx", "r11", "memory");
    __builtin_unreachable();
}
#elif defined(__aarch64__)
__attribute__((noreturn)) void _start(void)
{
    register long number __asm__("x8") = 93;
    register long code __asm__("x0") = 0;
    __asm__ volatile("svc 0" : : "r"(number), "r"(code) : "memory");
    __builtin_unreachable();
}
#else
#error "no floor is written for this machine"
#endif
