#include <csignal>

extern fern::StreamServer server;
void read_settings();
