#!/usr/bin/env python3
"""Builds the small company that the tests integrate with, once, as a database to copy.

    .test-env/python/bin/python scripts/tryton/setup.py --dir .test-env/tryton

leaves in the folder
    erp.sqlite   a Tryton database; each test starts its own server on a copy
    seed.json    log-ins, ids and every seeded document, so that no test looks ids up
    stamp        hash of this file and the pinned packages: built again only when they change

Nothing in it depends on the day it is built: dates, amounts and codes are written below.
"""

import argparse
import datetime
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
from decimal import Decimal

HERE = pathlib.Path(__file__).resolve().parent
DATABASE = 'erp'
ADMIN_PASSWORD = 'admin-of-a-test-company'
USERS = {
    # log-in: (password, groups); None stands for the group that may only read
    'rebates': ('rebates-of-a-test-company', ['Account', 'Accounting Party', 'Sales']),
    'reader': ('reader-of-a-test-company', None),
}
READABLE = [
    'account.invoice', 'account.invoice.line', 'account.account', 'account.journal',
    'account.move', 'account.move.line', 'account.period', 'account.invoice.payment_term',
]

# Business days on which something is invoiced lie in these years; memos may come much later.
FISCAL_YEARS = range(2025, 2033)
RATES = {'USD': '1', 'EUR': '0.92'}       # units for one US dollar
COUNTRIES = {'US': 'United States', 'DE': 'Germany', 'FR': 'France'}

CUSTOMERS = [
    # code, name, country, currency
    ('C-10010', 'Acme Supply Co.', 'US', 'USD'),
    ('C-10020', 'Harbor Industrial LLC', 'US', 'USD'),
    ('C-10030', 'Müller & Söhne Großhandel GmbH', 'DE', 'EUR'),
    ('C-10040', '=cmd|calc Supplies', 'US', 'USD'),      # a cell that a spreadsheet would run
    ('C-10050', "L'Écluse Distribution", 'FR', 'EUR'),
]
CATEGORIES = ['PUMPS', 'VALVES', 'SERVICES']
PRODUCTS = [
    # code, name, category, price, type
    ('P-100', 'Circulation pump 100', 'PUMPS', '395.00', 'goods'),
    ('P-200', 'Booster pump 200', 'PUMPS', '612.90', 'goods'),
    ('V-010', 'Ball valve 1/2"', 'VALVES', '48.00', 'goods'),
    ('V-020', 'Check valve 3/4"', 'VALVES', '73.3333', 'goods'),
    ('FREIGHT', 'Freight', 'SERVICES', '25.00', 'service'),
]
INVOICES = [
    # date, customer, their order, [(product, quantity)]; in date order, as numbers are strict
    ('2026-01-05', 'C-10010', 'PO-1001', [('P-100', '40'), ('V-010', '25'), ('FREIGHT', '1')]),
    ('2026-01-07', 'C-10020', 'PO-2001', [('P-200', '6')]),
    ('2026-01-12', 'C-10030', 'PO-3001', [('P-100', '12'), ('V-020', '9')]),
    ('2026-01-20', 'C-10010', 'PO-1002', [('P-200', '55')]),
    ('2026-01-29', 'C-10040', 'PO-4001', [('V-010', '100')]),
    ('2026-02-03', 'C-10010', 'PO-1003', [('P-100', '80'), ('V-020', '30')]),
    ('2026-02-11', 'C-10050', 'PO-5001', [('P-100', '3'), ('P-200', '2'), ('FREIGHT', '1')]),
    # a return: a credit note, whose line names the line of the order's invoice as its origin
    ('2026-02-17', 'C-10010', 'PO-1002', [('P-200', '-5')]),
    ('2026-02-24', 'C-10020', 'PO-2002', [('P-100', '18'), ('V-010', '40')]),
    ('2026-03-04', 'C-10010', 'PO-1004', [('P-100', '60'), ('P-200', '20')]),
    ('2026-03-16', 'C-10030', 'PO-3002', [('P-200', '7')]),
    ('2026-03-27', 'C-10010', 'PO-1005', [('V-020', '33'), ('P-100', '21')]),
]
DRAFTS = [('2026-03-30', 'C-10010', 'PO-1099', [('P-100', '999')])]       # never posted


def day(text):
    return datetime.date.fromisoformat(text)


def fingerprint():
    digest = hashlib.sha256()
    for name in ('setup.py', 'requirements.txt'):
        digest.update((HERE / name).read_bytes())
    return digest.hexdigest()


def create_database(work):
    """An empty SQLite file with the modules switched on."""
    (work / f'{DATABASE}.sqlite').touch()
    conf = work / 'build.conf'
    # The path has to be absolute, or the file is not found.
    conf.write_text(f'[database]\nuri = sqlite://\npath = {work.resolve()}\n')
    password = work / 'password'
    password.write_text(ADMIN_PASSWORD)
    admin = pathlib.Path(sys.executable).with_name('trytond-admin')
    subprocess.run(
        [str(admin), '-c', str(conf), '-d', DATABASE, '--email', 'admin@example.invalid',
         '--activate-dependencies', '-u', 'account_invoice', 'account_product', 'sale'],
        check=True, env=dict(os.environ, TRYTONPASSFILE=str(password)))
    return conf


class Company:
    """Everything that is put into the database, in the order Tryton wants it."""

    def __init__(self, conf):
        from proteus import Model, Wizard, config
        self.config = config.set_trytond(database=DATABASE, user='admin', config_file=str(conf))
        self.get, self.wizard = Model.get, Wizard

    def new(self, kind, /, **values):
        record = self.get(kind)(**values)
        record.save()
        return record

    def one(self, model, *domain):
        return self.get(model).find(list(domain), limit=1)[0]

    def build(self):
        self.places_and_money()
        self.company()
        self.years()
        self.accounts()
        self.products()
        self.customers()
        self.users()
        self.sold = {}
        documents = [self.document(*row, post=True) for row in INVOICES]
        drafts = [self.document(*row, post=False) for row in DRAFTS]
        return self.seed(documents, drafts)

    def places_and_money(self):
        self.currency = {}
        for code, rate in RATES.items():
            self.currency[code] = self.new(
                'currency.currency', name=code, code=code, symbol=code, digits=2, rounding=Decimal('0.01'))
            self.new('currency.currency.rate', currency=self.currency[code], rate=Decimal(rate),
                     date=datetime.date(FISCAL_YEARS[0], 1, 1))
        self.country = {}
        for code, name in COUNTRIES.items():
            known = self.get('country.country').find([('code', '=', code)])
            self.country[code] = known[0] if known else self.new('country.country', name=name, code=code)

    def company(self):
        wizard = self.wizard('company.company.config')
        wizard.execute('company')
        wizard.form.party = self.new('party.party', name='Northwind Pumps Inc.', code='OWN')
        wizard.form.currency = self.currency['USD']
        wizard.execute('add')
        user = self.get('res.user')
        self.config._context = user.get_preferences(True, {})
        self.own = self.get('company.company').find()[0]

    def years(self):
        kinds = {name: self.one('ir.sequence.type', ('name', '=', name)) for name in ('Account Move', 'Invoice')}
        for year in FISCAL_YEARS:
            record = self.get('account.fiscalyear')(
                name=str(year), company=self.own,
                start_date=datetime.date(year, 1, 1), end_date=datetime.date(year, 12, 31))
            record.post_move_sequence = self.new(
                'ir.sequence', name=f'Moves {year}', sequence_type=kinds['Account Move'], company=self.own)
            numbers = record.invoice_sequences[0]
            for field, prefix in (('out_invoice', 'INV'), ('out_credit_note', 'CM'),
                                  ('in_invoice', 'BILL'), ('in_credit_note', 'BCM')):
                sequence = self.new(
                    'ir.sequence.strict', name=f'{prefix} {year}', sequence_type=kinds['Invoice'],
                    prefix=f'{prefix}-{year}-', padding=6, company=self.own)
                setattr(numbers, f'{field}_sequence', sequence)
            record.save()
            record.click('create_period')

    def accounts(self):
        template = self.one('ir.model.data', ('module', '=', 'account'), ('fs_id', '=', 'account_template_root_en'))
        wizard = self.wizard('account.create_chart')
        wizard.execute('account')
        wizard.form.account_template = self.get('account.account.template')(template.db_id)
        wizard.form.company = self.own
        wizard.execute('create_account')

        def of_type(kind):
            return self.one('account.account', (f'type.{kind}', '=', True), ('closed', '!=', True),
                            ('company', '=', self.own.id))
        self.account = {kind: of_type(kind) for kind in ('receivable', 'payable', 'revenue', 'expense')}
        wizard.form.account_receivable = self.account['receivable']
        wizard.form.account_payable = self.account['payable']
        wizard.execute('create_properties')
        tax = self.one('account.account', ('name', '=', 'Main Tax'), ('company', '=', self.own.id))
        # Rebates granted lessen revenue; rebates accrued are a liability.
        self.account['rebate'] = self.new(
            'account.account', name='Rebates granted', code='4900', company=self.own,
            type=self.account['revenue'].type, parent=self.account['revenue'].parent)
        self.account['accrued'] = self.new(
            'account.account', name='Accrued rebates', code='2450', company=self.own,
            type=tax.type, parent=self.account['payable'].parent)

    def products(self):
        def bookkeeping(name, revenue):
            return self.new('product.category', name=name, accounting=True,
                            account_expense=self.account['expense'], account_revenue=revenue)
        goods = bookkeeping('Sold goods', self.account['revenue'])
        rebates = bookkeeping('Granted rebates', self.account['rebate'])
        category = {name: self.new('product.category', name=name) for name in CATEGORIES}
        self.unit = self.one('product.uom', ('name', '=', 'Unit'))
        self.product = {}
        rows = [(*row, goods) for row in PRODUCTS] + [('REBATE', 'Rebate', None, '0', 'service', rebates)]
        for code, name, kind, price, type_, account_category in rows:
            template = self.get('product.template')(
                name=name, code=code, type=type_, default_uom=self.unit, salable=True,
                list_price=Decimal(price), account_category=account_category)
            if kind:
                # A fresh instance: one record cannot stand in two lists at once.
                template.categories.append(self.get('product.category')(category[kind].id))
            template.save()
            self.product[code] = template.products[0]

    def customers(self):
        self.term = self.get('account.invoice.payment_term')(name='Net 30')
        self.term.lines.new(type='remainder').relativedeltas.new(days=30)
        self.term.save()
        self.customer = {}
        for code, name, country, _ in CUSTOMERS:
            party = self.get('party.party')(name=name, code=code, customer_payment_term=self.term)
            address = party.addresses[0]
            address.street, address.city, address.country = '1 Test Street', 'Testville', self.country[country]
            contact = party.contact_mechanisms.new(type='email')
            contact.value = code.lower() + '@partner.example'
            party.save()
            self.customer[code] = party

    def users(self):
        reading = self.new('res.group', name='Rebate reading')
        for name in READABLE:
            self.new('ir.model.access', model=self.one('ir.model', ('model', '=', name)), group=reading,
                     perm_read=True, perm_write=False, perm_create=False, perm_delete=False)
        self.user = {}
        for login, (password, groups) in USERS.items():
            user = self.get('res.user')(name=login, login=login, password=password)
            for name in groups or [reading.name]:
                user.groups.append(self.one('res.group', ('name', '=', name)))
            user.companies.append(self.get('company.company')(self.own.id))
            user.company = self.own
            user.save()
            self.user[login] = user

    def document(self, date, customer, reference, lines, post):
        currency = next(row[3] for row in CUSTOMERS if row[0] == customer)
        invoice = self.get('account.invoice')(type='out', party=self.customer[customer])
        invoice.currency, invoice.payment_term = self.currency[currency], self.term
        invoice.invoice_date, invoice.reference = day(date), reference
        for code, quantity in lines:
            line = invoice.lines.new(product=self.product[code])
            line.quantity = float(quantity)
            line.unit_price = Decimal(next(row[3] for row in PRODUCTS if row[0] == code))
            if line.quantity < 0:
                line.origin = self.sold[reference, code]
        invoice.save()
        for line in invoice.lines:
            self.sold.setdefault((reference, line.product.code), line)
        if post:
            self.post(invoice)
        return {
            'id': invoice.id, 'number': invoice.number, 'party': customer, 'date': date, 'reference': reference,
            'currency': currency, 'untaxed': str(invoice.untaxed_amount), 'lines': len(lines)}

    def post(self, invoice):
        """Posts, saying yes to the questions that old dates raise."""
        from trytond.exceptions import UserWarning as Question
        for _ in range(4):
            try:
                return invoice.click('post')
            except Question as question:
                self.new('res.user.warning', user=self.get('res.user')(self.config.user), name=question.name)
        raise SystemExit(f'{invoice.reference}: still not posted after four questions')

    def seed(self, documents, drafts):
        def ids(records):
            return {key: record.id for key, record in records.items()}
        return {
            'database': DATABASE,
            'company': self.own.id,
            'admin': {'login': 'admin', 'password': ADMIN_PASSWORD},
            'users': {login: {'id': self.user[login].id, 'login': login, 'password': USERS[login][0]} for login in USERS},
            'currency': ids(self.currency),
            'account': ids(self.account),
            'party': ids(self.customer),
            'address': {code: party.addresses[0].id for code, party in self.customer.items()},
            'product': ids(self.product),
            'unit': self.unit.id,
            'journal': self.one('account.journal', ('type', '=', 'revenue')).id,
            'invoices': documents,
            'drafts': drafts,
        }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--dir', type=pathlib.Path, required=True)
    target = parser.parse_args().dir
    stamp = target / 'stamp'
    if stamp.exists() and stamp.read_text() == fingerprint():
        return
    work = target.with_name(target.name + '.building')
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    conf = create_database(work)
    seed = Company(conf).build()
    (work / 'seed.json').write_text(json.dumps(seed, indent=1, ensure_ascii=False))
    for name in ('build.conf', 'password'):
        (work / name).unlink()
    (work / 'stamp').write_text(fingerprint())
    # Whole or not at all: a build that was broken off leaves no folder of the real name.
    shutil.rmtree(target, ignore_errors=True)
    work.rename(target)


if __name__ == '__main__':
    main()
