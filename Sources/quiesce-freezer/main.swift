import Freezer
import Glibc

exit(FreezerProcess.main())
