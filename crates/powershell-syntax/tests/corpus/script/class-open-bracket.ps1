class l{[
