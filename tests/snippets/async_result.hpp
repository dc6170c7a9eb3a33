#include <thread>

struct Page {};
Page download();
void show(const Page& page);
