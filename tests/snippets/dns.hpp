void try_it(const fern::Address& address);
