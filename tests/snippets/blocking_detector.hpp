void serve();
