#include <vector>

struct Page {};
extern fern::Greenlet<void> worker;
extern std::vector<fern::Greenlet<Page>> fetches;
void late();
void show(const Page& page);
