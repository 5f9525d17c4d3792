/* `akvfs check [--name NAME] CLASS.yaml`: what is wrong with a class, all of it, offline. */
#pragma once

/* argv[0] is "check". 0: the class is good (warnings allowed), its summary is on standard output;
 * 1: it has errors or cannot be read; 2: wrong use. */
int cli_check(int argc, char **argv);
