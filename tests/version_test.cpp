#include "fern/config.hpp"
#include "support.hpp"

TEST_F(FernTest, VersionOfTheLibraryIsTheVersionOfItsHeaders) {
  EXPECT_STREQ(fern::version(), FERN_VERSION);
}
