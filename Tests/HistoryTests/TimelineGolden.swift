/// The timelines of `TimelineExamples`, as an admin sees them.
enum TimelineGolden {
    static let texts = [
        "success": #"""
        Request  20261121T103645-1 from hyperv
        Started  2026-11-21T10:36:45.123Z, took 1.85 s
        Result   succeeded, consistency level crash
        Window   1.16 s from the first freeze to the last thaw
        Reason   could only be flushed: /mnt/usb

           At, ms  Took, ms │                  │ Step                         Outcome
            12.50     84.13 │━                 │ flush /srv/images/guest      ok
            12.50     93.13 │━━                │ flush /                      ok
            12.50    102.13 │━━                │ flush /mnt/usb               ok
           103.00    311.50 │ ━━━━             │ hook freeze 10-postgresql    ok
           415.00    204.00 │    ━━━           │ hook freeze 20-app.session   ok
           620.00      3.25 │      ━           │ flush last /srv/images/guest ok
           620.00      3.25 │      ━           │ flush last /                 ok
           620.00      3.25 │      ━           │ flush last /mnt/usb          ok
           624.50      1.25 │      ━           │ freeze /srv/images/guest     ok
           626.00      4.13 │      ━           │ freeze /                     ok
           631.00   1152.00 │      ████████████│ FROZEN                       ok
          1783.00      0.25 │                 ━│ thaw /                       ok
          1783.50      0.13 │                 ━│ thaw /srv/images/guest       ok
          1790.00     12.00 │                 ━│ hook thaw 20-app.session     ok
          1803.00     44.75 │                 ━│ hook thaw 10-postgresql      ok

        Synced only:
          /mnt/usb: vfat has no freeze

        Skipped:
          /proc, /sys, /dev: pseudo filesystem
        """#,
        "failed hook": #"""
        Request    20261121T103645-1 from hyperv
        Started    2026-11-21T10:36:45.123Z, took 30.43 s
        Result     FAILED
        Reason     hook 10-postgresql exited with status 3: psql: error: connection
                   refused
        ATTENTION  failed at thaw, so the application may be down: 10-postgresql

           At, ms  Took, ms │                  │ Step                         Outcome
            12.50     84.13 │━                 │ flush /srv/images/guest      ok
            12.50     93.13 │━                 │ flush /                      ok
            12.50    102.13 │━                 │ flush /mnt/usb               ok
           103.00    311.50 │━                 │ hook freeze 10-postgresql    exit 3
           430.00  30000.00 │━━━━━━━━━━━━━━━━━━│ hook thaw 10-postgresql      TIMED OUT

        Failures:
          hook 10-postgresql freeze exited with status 3
          hook 10-postgresql thaw did not end within its timeout and was killed

        Output of 10-postgresql freeze:
            line 1
            line 2
            line 3
            line 4
            … (6 lines)
            line 11
            line 12
            line 13
            line 14
                psql: error: connection refused\033[31m

        Refused hooks:
          30-old: writable by group

        Not frozen, because it had failed before: /srv/images/guest, /

        Synced only:
          /mnt/usb: vfat has no freeze

        Skipped:
          /proc, /sys, /dev: pseudo filesystem
        """#,
        "busy": #"""
        Request  20261121T103645-1 from hyperv
        Started  2026-11-21T10:36:45.123Z, took 660.00 ms
        Result   FAILED
        Window   4.00 ms from the first freeze to the last thaw
        Reason   /: it is frozen already, by somebody else; find out who (another backup
                 agent?) before thawing it with `fsfreeze -u`

           At, ms  Took, ms │                  │ Step                         Outcome
            12.50     84.13 │━━━               │ flush /srv/images/guest      ok
            12.50     93.13 │━━━               │ flush /                      ok
            12.50    102.13 │━━━━              │ flush /mnt/usb               ok
           103.00    311.50 │  ━━━━━━━━━━      │ hook freeze 10-postgresql    ok
           415.00    204.00 │           ━━━━━━ │ hook freeze 20-app.session   ok
           620.00      3.25 │                ━ │ flush last /srv/images/guest ok
           620.00      3.25 │                ━ │ flush last /                 ok
           620.00      3.25 │                ━ │ flush last /mnt/usb          ok
           624.50      1.25 │                 ━│ freeze /srv/images/guest     ok
           626.00      0.02 │                 ━│ freeze /                     EBUSY
           627.00      0.13 │                 ━│ thaw /srv/images/guest       ok
           640.00     12.00 │                 ━│ hook thaw 20-app.session     ok
           640.00     12.00 │                 ━│ hook thaw 10-postgresql      ok

        Failures:
          freeze /: EBUSY, Device or resource busy

        Synced only:
          /mnt/usb: vfat has no freeze

        Skipped:
          /proc, /sys, /dev: pseudo filesystem
        """#,
        "lost": #"""
        Request  20261121T103645-1 from hyperv
        Started  2026-11-21T10:36:45.123Z, took 1 min 1 s
        Result   FAILED after it was frozen: do not trust the snapshot
        Window   1 min 0 s from the first freeze to the last thaw
        Reason   THAW did not come within freeze.max_window (60s): everything was
                 thawed, the snapshot may be torn

           At, ms  Took, ms │                  │ Step                         Outcome
            12.50     84.13 │━                 │ flush /srv/images/guest      ok
            12.50     93.13 │━                 │ flush /                      ok
            12.50    102.13 │━                 │ flush /mnt/usb               ok
           103.00    311.50 │━                 │ hook freeze 10-postgresql    ok
           415.00    204.00 │━                 │ hook freeze 20-app.session   ok
           620.00      3.25 │━                 │ flush last /srv/images/guest ok
           620.00      3.25 │━                 │ flush last /                 ok
           620.00      3.25 │━                 │ flush last /mnt/usb          ok
           624.50      1.25 │━                 │ freeze /srv/images/guest     ok
           626.00      4.13 │━                 │ freeze /                     ok
           631.00  59992.50 │██████████████████│ FROZEN                       LOST
         60623.50      0.25 │                 ━│ thaw /                       ok
         60624.00      0.13 │                 ━│ thaw /srv/images/guest       EINVAL

        Failures:
          thaw /srv/images/guest: EINVAL, Invalid argument

        Synced only:
          /mnt/usb: vfat has no freeze

        Skipped:
          /proc, /sys, /dev: pseudo filesystem
        """#,
        "stuck": #"""
        Request  20261121T103645-1 from hyperv
        Started  2026-11-21T10:36:45.123Z, took 15.63 s
        Result   FAILED
        Window   15.00 s and not over: see Failures
        Reason   /: not frozen within freeze.timeout (10.0 seconds); a writer or the
                 device does not get ready

           At, ms  Took, ms │                  │ Step                         Outcome
            12.50     84.13 │━                 │ flush /srv/images/guest      ok
            12.50     93.13 │━                 │ flush /                      ok
            12.50    102.13 │━                 │ flush /mnt/usb               ok
           103.00    311.50 │━                 │ hook freeze 10-postgresql    ok
           415.00    204.00 │━                 │ hook freeze 20-app.session   ok
           620.00      3.25 │━                 │ flush last /srv/images/guest ok
           620.00      3.25 │━                 │ flush last /                 ok
           620.00      3.25 │━                 │ flush last /mnt/usb          ok
           624.50      1.25 │━                 │ freeze /srv/images/guest     ok
                ?         ? │━━━━━━━━━━━━━━━━━━│ freeze /                     STUCK
         10625.00      0.13 │            ━     │ thaw /srv/images/guest       ok

        Failures:
          /: the kernel had not come back from freezing it when this was written; see
            the log of quiesced

        Synced only:
          /mnt/usb: vfat has no freeze

        Skipped:
          /proc, /sys, /dev: pseudo filesystem
        """#,
        "many": #"""
        Request  20261121T103645-1 from hyperv
        Started  2026-11-21T10:36:45.123Z, took 270.00 ms
        Result   succeeded, consistency level filesystem
        Window   225.00 ms from the first freeze to the last thaw
        Reason   there are no hooks

           At, ms  Took, ms │                  │ Step                         Outcome
             2.00     29.60 │━━━               │ flush …customer-8/productio… ok
             2.00     29.70 │━━━               │ flush …customer-81/producti… ok
             2.00     29.80 │━━━               │ flush …customer-154/product… ok
             2.00     29.90 │━━━               │ flush …customer-227/product… ok
             2.00     29.50 │━━━               │ flush …customer-235/product… ok
             2.00     29.40 │━━━               │ flush 295 others             ok
            40.00      0.89 │  ━               │ flush again …customer-8/pro… ok
            40.00      0.89 │  ━               │ flush again …customer-81/pr… ok
            40.00      0.89 │  ━               │ flush again …customer-154/p… ok
            40.00      0.90 │  ━               │ flush again …customer-227/p… ok
            40.00      0.89 │  ━               │ flush again …customer-235/p… ok
            40.00      0.88 │  ━               │ flush again 295 others       ok
            47.95     14.75 │   ━━             │ freeze …customer-235/produc… ok
            47.96     14.80 │   ━━             │ freeze …customer-8/producti… ok
            47.97     14.85 │   ━━             │ freeze …customer-81/product… ok
            47.98     14.90 │   ━━             │ freeze …customer-154/produc… ok
            47.99     14.95 │   ━━             │ freeze …customer-227/produc… ok
            45.00     17.64 │   ━━             │ freeze 295 others            ok
            64.00    201.00 │    ██████████████│ FROZEN                       ok
           265.00      0.10 │                 ━│ thaw …customer-0/production… ok
           265.01      0.10 │                 ━│ thaw …customer-73/productio… ok
           265.02      0.10 │                 ━│ thaw …customer-146/producti… ok
           265.03      0.10 │                 ━│ thaw …customer-219/producti… ok
           265.04      0.10 │                 ━│ thaw …customer-292/producti… ok
           265.05      3.04 │                 ━│ thaw 295 others              ok
        """#,
    ]
}
