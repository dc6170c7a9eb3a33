#include <string>
#include <vector>

extern std::string path;
std::string read_file(const std::string& path);

struct Image {};
extern Image image;
Image shrink(const Image& image);
extern std::vector<std::string> paths;
Image load(const std::string& path);
void show(const Image& image);
