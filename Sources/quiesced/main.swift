import LinuxCalls

// Before the first thread, which would get an arena of its own. To make another one, malloc looks the number of
// processors up; to shrink it, how memory is overcommitted: paths, and perhaps in the window (P7).
try? ProcessMemory.limitArenas()
QuiesceDaemon.main()
